"""A picture and its label map, painted together so that every mask is exact after occlusion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from regioncache.demo.textures import SIDE_PX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regioncache.demo.textures import Textures

VOID = 0

Colour = tuple[float, float, float]


class Segment(NamedTuple):
    """One segment of a picture: its category's name, and whether it is a crowd of many."""

    category: str
    is_crowd: bool


@dataclass(frozen=True, slots=True)
class Light:
    """The light of a scene.

    Attributes:
        sky_top: RGB of the sky overhead, 0 to 255.
        sky_low: RGB of the sky at the horizon; far things fade to it.
        tint: factors of red, green and blue over the whole picture.
        side: where the sun stands: -1 left, 1 right.
        shadow: how dark a cast shadow is, 0 to 1.
    """

    sky_top: Colour
    sky_low: Colour
    tint: Colour
    side: float
    shadow: float


class Canvas:
    """A picture being painted, from the back to the front.

    Attributes:
        rgb: float32, shape (height, width, 3), 0 to 255.
        label: uint8, shape (height, width): 0 for void, n for ``segments[n - 1]``.
        segments: what was painted so far, hidden or not.
    """

    def __init__(self, size_hw: tuple[int, int], light: Light, textures: Textures, rng: np.random.Generator) -> None:
        self.height, self.width = size_hw
        self.light = light
        self.textures = textures
        self.rng = rng
        self.rgb = np.zeros((*size_hw, 3), np.float32)
        self.label = np.zeros(size_hw, np.uint8)
        self.segments: list[Segment] = []

    def brush(self, category: str | None, *, haze: float = 0.0, is_crowd: bool = False) -> Brush:
        """A brush for a new segment of ``category``, or for something unlabelled where it is None."""
        if category is None:
            return Brush(self, VOID, haze)
        self.segments.append(Segment(category, is_crowd))
        return Brush(self, len(self.segments), haze)

    def visible(self) -> NDArray[np.int64]:
        """Visible pixels of each label: shape (1 + number of segments,), void first."""
        return np.bincount(self.label.ravel(), minlength=len(self.segments) + 1)

    def shade(self, x: float, y: float, radius_x: float, radius_y: float) -> None:
        """Cast a soft shadow, an ellipse on the ground; labels stay."""
        box = _Box.around(x - radius_x, y - radius_y, x + radius_x, y + radius_y, self)
        if box is not None:
            u, v = box.unit_xy(x, y, radius_x, radius_y)
            darkness = self.light.shadow * np.clip(1.6 * (1.0 - u * u - v * v), 0.0, 1.0)
            self.rgb[box.slices] *= (1.0 - darkness)[..., None]


class _Box(NamedTuple):
    """A window of a canvas, in pixels, right and bottom exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def around(cls, x0: float, y0: float, x1: float, y1: float, canvas: Canvas) -> _Box | None:
        """The pixels of ``canvas`` that a shape may touch, or None."""
        box = cls(
            max(int(np.floor(x0)), 0),
            max(int(np.floor(y0)), 0),
            min(int(np.ceil(x1)) + 1, canvas.width),
            min(int(np.ceil(y1)) + 1, canvas.height),
        )
        return box if box.x0 < box.x1 and box.y0 < box.y1 else None

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def unit_xy(self, x: float, y: float, rx: float, ry: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Coordinates in which the ellipse at (x, y) is the unit circle: shapes (1, w) and (h, 1)."""
        u = (np.arange(self.x0, self.x1, dtype=np.float32) - x) / rx
        v = (np.arange(self.y0, self.y1, dtype=np.float32) - y) / ry
        return u[None, :], v[:, None]


@dataclass(slots=True)
class Brush:
    """Paints one segment: picture and label at once. Coordinates are pixels, colours 0 to 255.

    Attributes:
        canvas: what is painted on.
        label: the segment's label; 0 paints something that stays void.
        haze: 0 near to 1 far, how much of the horizon's colour covers it.
    """

    canvas: Canvas
    label: int
    haze: float = 0.0
    shift_yx: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        """Choose a place in the textures, so that no two things have the same grain."""
        y, x = self.canvas.rng.integers(0, SIDE_PX, 2)
        self.shift_yx = int(y), int(x)

    def polygon(
        self,
        points_xy: Sequence[tuple[float, float]],
        colour: Colour,
        *,
        texture: str = "grain",
        contrast: float = 0.06,
    ) -> None:
        """Fill a polygon; it is a little darker towards its foot."""
        xs, ys = [x for x, _ in points_xy], [y for _, y in points_xy]
        box = _Box.around(min(xs), min(ys), max(xs), max(ys), self.canvas)
        if box is None:
            return
        image = Image.new("L", (box.x1 - box.x0, box.y1 - box.y0))
        ImageDraw.Draw(image).polygon([(x - box.x0, y - box.y0) for x, y in points_xy], fill=1)
        light = np.linspace(1.05, 0.93, box.y1 - box.y0, dtype=np.float32)[:, None]
        self.paint(box, np.asarray(image, bool), colour, light * (1.0 + contrast * self._texture(texture, box)))

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, contrast: float = 0.06) -> None:
        """Fill an upright rectangle, from corner to corner."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, contrast=contrast)

    def line(self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
        """Draw a straight line, at least one pixel wide."""
        (xa, ya), (xb, yb) = start, end
        box = _Box.around(min(xa, xb) - width, min(ya, yb) - width, max(xa, xb) + width, max(ya, yb) + width, self.canvas)
        if box is None:
            return
        image = Image.new("L", (box.x1 - box.x0, box.y1 - box.y0))
        inside = [(xa - box.x0, ya - box.y0), (xb - box.x0, yb - box.y0)]
        ImageDraw.Draw(image).line(inside, fill=1, width=max(1, round(width)))
        self.paint(box, np.asarray(image, bool), colour, 1.0 + 0.05 * self._texture("grain", box))

    def ellipse(
        self,
        x: float,
        y: float,
        radius_x: float,
        radius_y: float,
        colour: Colour,
        *,
        texture: str = "grain",
        contrast: float = 0.06,
        rough: float = 0.0,
        panels: tuple[Colour, int] | None = None,
        below: float = 1.0,
    ) -> None:
        """Fill an ellipse that is lit like a ball.

        Args:
            x: centre.
            y: centre.
            radius_x: half the width.
            radius_y: half the height.
            colour: of the whole, or of every other panel.
            texture: its grain.
            contrast: of the grain.
            rough: how far the grain frays the outline, as a part of the radius.
            panels: second colour and number of panels, as on a beach ball.
            below: how far down it reaches, in radii: 0 paints the upper half only.
        """
        reach = 1.0 + 2.0 * rough
        box = _Box.around(x - reach * radius_x, y - reach * radius_y, x + reach * radius_x, y + reach * radius_y, self.canvas)
        if box is None:
            return
        u, v = box.unit_xy(x, y, max(radius_x, 0.5), max(radius_y, 0.5))
        square = u * u + v * v
        grain = self._texture(texture, box)
        inside = square + rough * grain <= 1.0
        if below < 1.0:
            inside &= v <= below
        facing = np.sqrt(np.clip(1.0 - square, 0.0, 1.0))
        light = 0.62 + 0.5 * np.clip(0.45 * self.canvas.light.side * u - 0.55 * v + 0.65 * facing, 0.0, 1.0)
        light = (light * (1.0 + contrast * grain)).astype(np.float32)
        self.paint(box, inside, colour, light)
        if panels is not None:
            longitude = np.arcsin(np.clip(u / np.sqrt(np.clip(1.0 - v * v, 1e-3, 1.0)), -1.0, 1.0)) / np.pi + 0.5
            odd = np.floor(longitude * panels[1]).astype(np.int32) % 2 == 1
            self.paint(box, inside & odd, panels[0], light)

    def void_border(self) -> None:
        """Leave the outermost pixels of the segment unlabelled, as annotators do between things that touch."""
        rows = np.flatnonzero((self.canvas.label == self.label).any(axis=1))
        if rows.size == 0 or self.label == VOID:
            return
        label = self.canvas.label[rows[0] : rows[-1] + 1]
        padded = np.pad(label == self.label, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        if inner.any():
            label[padded[1:-1, 1:-1] & ~inner] = VOID

    def paint(
        self, box: _Box, inside: NDArray[np.bool_], colour: Colour, light: NDArray[np.float32] | NDArray[np.float64]
    ) -> None:
        """Paint ``colour`` times ``light`` where ``inside`` of ``box``."""
        rgb = light.astype(np.float32)[..., None] * np.array(colour, np.float32)
        if self.haze:
            rgb += self.haze * (np.array(self.canvas.light.sky_low, np.float32) - rgb)
        np.copyto(self.canvas.rgb[box.slices], rgb, where=inside[..., None])
        self.canvas.label[box.slices][inside] = self.label

    def _texture(self, name: str, box: _Box) -> NDArray[np.float32]:
        y, x = self.shift_yx
        rows = np.arange(box.y0 + y, box.y1 + y) % SIDE_PX
        columns = np.arange(box.x0 + x, box.x1 + x) % SIDE_PX
        return self.canvas.textures[name][rows[:, None], columns]
