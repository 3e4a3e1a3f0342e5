"""Noise that tiles: the grain of everything that is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE_PX = 1024

Textures = dict[str, "NDArray[np.float32]"]


def make_textures(seed: int) -> Textures:
    """The textures that all scenes share: float32, shape (1024, 1024), zero mean, unit variance, periodic."""
    rng = np.random.default_rng([seed, 0x7E47])
    return {
        "cloud": _spectral_noise(rng, exponent=1.9, stretch_xy=(1.0, 1.6), longest_px=512),
        "rock": _spectral_noise(rng, exponent=1.4, stretch_xy=(1.0, 1.0), longest_px=200),
        "leaf": _spectral_noise(rng, exponent=1.1, stretch_xy=(1.0, 1.0), longest_px=14),
        "grain": _spectral_noise(rng, exponent=0.6, stretch_xy=(1.0, 1.0), longest_px=24),
        "wave": _spectral_noise(rng, exponent=2.0, stretch_xy=(1.0, 4.0), longest_px=40),
        "sensor": _spectral_noise(rng, exponent=0.0, stretch_xy=(1.0, 1.0), longest_px=24),
        "tuft": _spectral_noise(rng, exponent=1.1, stretch_xy=(3.0, 1.0), longest_px=24),
    }


def _spectral_noise(
    rng: np.random.Generator, *, exponent: float, stretch_xy: tuple[float, float], longest_px: float
) -> NDArray[np.float32]:
    """White noise whose spectrum falls as ``frequency ** -exponent`` below the wavelength ``longest_px``."""
    frequency_x = np.fft.rfftfreq(SIDE_PX)[None, :] * stretch_xy[0]
    frequency_y = np.fft.fftfreq(SIDE_PX)[:, None] * stretch_xy[1]
    frequency = np.hypot(frequency_x, frequency_y) * longest_px
    amplitude = frequency**2 / (1.0 + frequency ** (2.0 + exponent))
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE_PX, SIDE_PX))) * amplitude
    noise = np.fft.irfft2(spectrum, s=(SIDE_PX, SIDE_PX))
    noise -= noise.mean()
    unit: NDArray[np.float32] = (noise / noise.std()).astype(np.float32)
    return unit
