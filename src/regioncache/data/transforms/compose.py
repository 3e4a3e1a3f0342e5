"""``Compose``: steps in a row, from sample to sample; and what every step of this package is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from regioncache.data.region_sample import RegionSample
from regioncache.data.sample_dicts import FrameName, sample_from_dict, sample_to_dict
from regioncache.errors import ConfigError, RegioncacheError

if TYPE_CHECKING:
    import numpy as np

Step = Callable[[RegionSample, "np.random.Generator"], RegionSample]


class Transform(ABC):
    """A step: a function of a sample and a generator.

    Given the dict of ``ParquetRegionDataset``, it does as ``Compose([step])`` does, so a single transform can stand as a
    dataset's ``transforms``.
    """

    @abstractmethod
    def apply(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample:
        """Transform a sample.

        Args:
            sample: left as it is.
            generator: the only source of randomness.
        """

    @overload
    def __call__(self, sample: RegionSample, generator: np.random.Generator) -> RegionSample: ...
    @overload
    def __call__(self, sample: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any]: ...
    def __call__(self, sample: RegionSample | Mapping[str, Any], generator: np.random.Generator) -> RegionSample | dict[str, Any]:
        """Transform a sample, or the dict of one."""
        if isinstance(sample, RegionSample):
            return self.apply(sample, generator)
        return Compose((self,))(sample, generator)


@dataclass(frozen=True)
class Compose:
    """Steps in a row, for ``ParquetRegionDataset(transforms=...)``.

    Steps draw from the sample's one generator in turn, so a sample is a function of (seed, epoch, index), under any number
    of workers and ranks. The dict that comes out has the keys of the one that went in, with ``input_boxes`` and
    ``input_points`` in the frame of the transformed image, ``reshaped_input_sizes`` its size there and ``original_sizes`` its
    size; these stay the source's where no step but flips moved the image. Masks come out as they went in: ``segmentation``,
    encoded anew when a step has moved them, or ``masks``. The regions to ignore move as the targets do.

    Args:
        steps: transforms of this package, or functions ``(RegionSample, generator) -> RegionSample``.
        frame: of the dataset's boxes (its ``prompts``, ``sam`` if it has none) and of the result's; ``image`` gives image
            pixels instead of a frame, for models with an input size of their own.
        region_keys: names of arrays or sequences that you added to the samples, with one value for each region.
        image_keys: names of such that belong to the image and that no step changes.

    Raises:
        ConfigError: a step is no function.
    """

    steps: tuple[Step, ...]
    frame: FrameName = "sam"
    region_keys: tuple[str, ...] = ()
    image_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        if self.frame not in ("sam", "square", "image"):
            raise ConfigError(f"frame={self.frame!r} is none of 'sam', 'square', 'image'")
        for position, step in enumerate(self.steps):
            if not callable(step) or isinstance(step, type | Compose):
                raise ConfigError(f"transforms[{position}]: expected a transform, found {step!r}")

    def __call__(self, sample: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        """Transform the dict of a sample.

        Raises:
            ConfigError: a step cannot be done on this sample; the message names step and image.
            RegioncacheError: the same for any other error in a step, which is its cause.
        """
        current = sample_from_dict(sample, self.frame, region_keys=self.region_keys, image_keys=self.image_keys)
        for position, step in enumerate(self.steps):
            try:
                current = step(current, generator)
            except Exception as error:
                kind = ConfigError if isinstance(error, ConfigError) else RegioncacheError
                what = error if isinstance(error, RegioncacheError) else f"{type(error).__name__}: {error}"
                raise kind(f"{self._place(position)}, image {sample['image_id']}: {what}") from error
            if not isinstance(current, RegionSample):
                raise ConfigError(f"{self._place(position)}: expected a RegionSample, found {type(current).__name__}")
        return sample_to_dict(current, self.frame, masks_as_rle="segmentation" in sample)

    def _place(self, position: int) -> str:
        step = self.steps[position]
        name = type(step).__name__ if isinstance(step, Transform) else getattr(step, "__name__", type(step).__name__)
        return f"transforms[{position}] ({name})"
