"""Stuff: what has a texture and a place, but no number. Painted over whole rows, from the horizon down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regioncache.demo.canvas import VOID
from regioncache.demo.textures import SIDE_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.demo.canvas import Brush, Canvas, Colour

    Floats = NDArray[np.float32]


def paint_sky(canvas: Canvas, *, cloudiness: float) -> None:
    """A gradient with a sun's glow, and clouds, which are a segment of their own.

    Args:
        canvas: an empty one.
        cloudiness: 0 for a clear sky to 1 for a covered one.
    """
    height, width = canvas.label.shape
    t = np.linspace(0.0, 1.5, height, dtype=np.float32).clip(0.0, 1.0)[:, None, None]
    top, low = (np.array(colour, np.float32) for colour in (canvas.light.sky_top, canvas.light.sky_low))
    canvas.rgb[:] = top + t**0.8 * (low - top)
    x = np.arange(width, dtype=np.float32) / width - (0.5 + 0.35 * canvas.light.side)
    y = np.arange(height, dtype=np.float32) / height - 0.12
    glow = 1.0 / (1.0 + 40.0 * (x[None, :] ** 2 + y[:, None] ** 2))
    canvas.rgb += 60.0 * glow[..., None]
    canvas.label[:] = canvas.brush("sky").label
    brush = canvas.brush("cloud")
    # Clouds shrink towards the horizon: rows are stepped through faster the lower they lie.
    rows = brush.shift_yx[0] + (np.arange(height) * np.linspace(0.7, 2.2, height)).astype(np.int64)
    columns = brush.shift_yx[1] + np.arange(width)
    noise = canvas.textures["cloud"][rows[:, None] % SIDE_PX, columns % SIDE_PX]
    above = canvas.textures["cloud"][(rows[:, None] - 14) % SIDE_PX, (columns + int(9 * canvas.light.side)) % SIDE_PX]
    alpha = np.clip((noise - 1.3 + 1.6 * cloudiness) / 0.9, 0.0, 1.0)
    white = np.clip(226.0 + 26.0 * (noise - above), 150.0, 255.0)[..., None]
    colour = white * (0.75 + 0.25 * low / low.max())
    canvas.rgb += (0.95 * alpha)[..., None] * (colour - canvas.rgb)
    canvas.label[noise > 1.75 - 1.6 * cloudiness] = brush.label  # where they cover more than half


def paint_ridge(
    brush: Brush, base_px: float, rise_px: float, colour: Colour, *, texture: str, outline: str, snow: bool = False
) -> None:
    """Everything below a ridge line: mountains, hills, the edge of a forest.

    Args:
        brush: the segment's.
        base_px: height of the line without relief, in pixels from the top.
        rise_px: standard deviation of the relief, in pixels.
        colour: of the slopes.
        texture: of the slopes.
        outline: the texture whose one row is the relief.
        snow: whether the heights are white.
    """
    canvas = brush.canvas
    height, width = canvas.label.shape
    y0, x0 = brush.shift_yx
    columns = (x0 + np.arange(width)) % SIDE_PX
    line = base_px - rise_px * canvas.textures[outline][y0, columns]
    top = int(np.clip(line.min(), 0, height - 1))
    y = np.arange(top, height, dtype=np.float32)[:, None]
    rows = (y0 + np.arange(top, height))[:, None] % SIDE_PX
    relief = canvas.textures[texture]
    slope = relief[rows, columns] - relief[rows, (columns + int(4 * canvas.light.side)) % SIDE_PX]
    light = np.clip(0.88 - 0.22 * slope + 0.07 * canvas.textures["leaf"][rows, columns], 0.35, 1.3)
    rgb = light[..., None] * np.array(colour, np.float32)
    if snow:
        white = (y + 7.0 * relief[rows, columns] - line < 0.5 * rise_px) & (line < base_px - 0.2 * rise_px)
        rgb = np.where(white[..., None], light[..., None] * np.array((245, 248, 255), np.float32), rgb)
    rgb += brush.haze * (np.array(canvas.light.sky_low, np.float32) - rgb)
    inside = y >= line
    np.copyto(canvas.rgb[top:], rgb, where=inside[..., None])
    canvas.label[top:][inside] = brush.label


def paint_ground(
    brush: Brush,
    horizon_px: float,
    edge_px: Floats,
    near: Colour,
    far: Colour,
    *,
    texture: str,
    contrast: float,
) -> None:
    """A plane in perspective, from a wavy upper edge down.

    Args:
        brush: the segment's.
        horizon_px: row of the horizon, where the plane's texture vanishes.
        edge_px: upper edge of the plane, one row per column: float32, shape (width,).
        near: colour at the foot of the picture.
        far: colour at the horizon.
        texture: of the plane.
        contrast: of the texture.
    """
    canvas = brush.canvas
    height, width = canvas.label.shape
    top = int(np.clip(edge_px.min(), 0, height - 1))
    y = np.arange(top, height, dtype=np.float32)
    depth = np.maximum(y - horizon_px, 1.0)
    nearest = max(height - horizon_px, 2.0)
    rows = (brush.shift_yx[0] + nearest * nearest / depth).astype(np.int64)[:, None]
    columns = (np.arange(width) - width / 2)[None, :] * (nearest / depth)[:, None]
    columns = (brush.shift_yx[1] + columns).astype(np.int64)
    relief = canvas.textures[texture][rows % SIDE_PX, columns % SIDE_PX]
    nearness = np.clip((depth / nearest) ** 0.6, 0.0, 1.0)[:, None]
    patches = canvas.textures["rock"][rows // 3 % SIDE_PX, columns // 3 % SIDE_PX]
    light = 1.0 + nearness * contrast * relief + 0.25 * contrast * patches
    near_rgb, far_rgb = np.array(near, np.float32), np.array(far, np.float32)
    rgb = light[..., None] * (far_rgb + nearness[..., None] * (near_rgb - far_rgb))
    inside = y[:, None] >= edge_px[None, :]
    np.copyto(canvas.rgb[top:], rgb, where=inside[..., None])
    canvas.label[top:][inside] = brush.label


def paint_glitter(canvas: Canvas, label: int) -> None:
    """Brighten the crests of the water that carries ``label``: sun glitter and foam."""
    water = canvas.label == label
    rows = np.flatnonzero(water.any(axis=1))
    if rows.size:
        rgb = canvas.rgb[rows[0] : rows[-1] + 1]
        brightness = rgb.sum(axis=-1)
        middle = brightness[water[rows[0] : rows[-1] + 1]].mean()
        crest = np.clip((brightness / middle - 1.16) * 4.0, 0.0, 0.5) * water[rows[0] : rows[-1] + 1]
        rgb += crest[..., None] * (np.array((250, 252, 250), np.float32) - rgb)


def wavy_edge(brush: Brush, level_px: float, rise_px: float, *, tilt_px: float = 0.0) -> Floats:
    """An upper edge for ``paint_ground``: float32, shape (width,)."""
    width = brush.canvas.width
    columns = (brush.shift_yx[1] + np.arange(width) // 2) % SIDE_PX
    wave = brush.canvas.textures["cloud"][brush.shift_yx[0], columns]
    tilt = np.linspace(-0.5, 0.5, width, dtype=np.float32) * tilt_px
    edge: Floats = (level_px + rise_px * wave + tilt).astype(np.float32)
    return edge


def scatter(brush: Brush, edge_px: float, horizon_px: float, colours: list[Colour], *, count: int, on: int) -> None:
    """Strew small flowers over the ground that carries the label ``on``; nearer ones are larger."""
    canvas = brush.canvas
    x = canvas.rng.uniform(0, canvas.width, count)
    y = edge_px + (canvas.height - edge_px) * canvas.rng.uniform(0, 1, count) ** 1.4
    for index in np.argsort(y):
        if canvas.label[min(int(y[index]), canvas.height - 1), int(x[index])] in (on, brush.label, VOID):
            radius = 0.9 + 3.0 * (y[index] - horizon_px) / canvas.height
            brush.ellipse(x[index], y[index], radius, 0.8 * radius, colours[index % len(colours)])
