"""Batches on a device: pixels travel as uint8 and are resized, padded and normalised there, as the exact path does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from regioncache.data.pillow_resize import resize
from regioncache.data.pixels import MEAN, STD
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FRAME_PX = 1024
_CHANNELS = 3
_NEEDED = ("pixel_values", "pixel_sizes", "reshaped_input_sizes")


class PixelFormat(NamedTuple):
    """What becomes of the pixels of a batch.

    Attributes:
        size_px: side of the square that images are padded to, right and below; None for the largest height and width in
            the batch, rounded up to multiples of ``divisor``.
        dtype: of the result: ``torch.float32``, ``bfloat16`` or ``float16``. Normalising itself is done in float32.
        mean: of red, green and blue, where white is 1.
        std: of red, green and blue, where white is 1.
        divisor: see ``size_px``.
    """

    size_px: int | None = _FRAME_PX
    dtype: torch.dtype = torch.float32
    mean: Sequence[float] = tuple(MEAN.tolist())
    std: Sequence[float] = tuple(STD.tolist())
    divisor: int = 1

    def padded_hw(self, resized_hw: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Height and width of the padded images, given their sizes in the frame.

        Raises:
            ConfigError: an image is larger than ``size_px``.
        """
        height, width = (max((size[axis] for size in resized_hw), default=0) for axis in range(2))
        if self.size_px is None:
            return -(-height // self.divisor) * self.divisor, -(-width // self.divisor) * self.divisor
        if max(height, width) > self.size_px:
            raise ConfigError(
                f"size_px={self.size_px}: the batch has an image of height and width {height} and {width} at most in its frame;"
                " pass a larger one, or None for the largest of each batch"
            )
        return self.size_px, self.size_px


def to_device(
    batch: Mapping[str, Any], device: torch.device | str, pixels: PixelFormat | None = None, *, non_blocking: bool = False
) -> dict[str, Any]:
    """A batch of ``RegionCollator`` with its tensors on a device; boxes are in the frame already and stay as they are.

    Args:
        batch: tensors or arrays, and other values, which are left alone. ``pixel_values``, uint8 (B, H, W, 3), is resized
            to ``reshaped_input_sizes``; floating-point pixels are moved, and only take the dtype.
        device: where to.
        pixels: what becomes of the pixels; SAM's float32 (B, 3, 1024, 1024) by default.
        non_blocking: copy without waiting, from pinned memory.

    Returns:
        A new dict; ``pixel_values`` (B, 3, H, W), and ``pixel_sizes``, int64 (B, 2), the images' heights and widths in it.

    Raises:
        ConfigError: the batch has pixels of which it does not say how large they are, or larger ones than ``size_px``.
    """
    wanted = PixelFormat() if pixels is None else pixels
    moved = {name: _moved(value, device, non_blocking) for name, value in batch.items()}
    if "pixel_values" not in moved:
        return moved
    if moved["pixel_values"].is_floating_point():
        moved["pixel_values"] = moved["pixel_values"].to(wanted.dtype)
        return moved
    missing = [name for name in _NEEDED if name not in batch]
    if missing:
        raise ConfigError(f"the batch has uint8 pixels without {', '.join(missing)}; collate with regions='pad' or 'flat'")
    # The sizes are read from the batch as it came: from the device they would have to be waited for.
    stored, resized = (_as_pairs(batch[name]) for name in _NEEDED[1:])
    moved["pixel_values"] = _framed(moved["pixel_values"], stored, resized, wanted)
    moved["pixel_sizes"] = moved["reshaped_input_sizes"]
    return moved


def _moved(value: object, device: torch.device | str, non_blocking: bool) -> Any:  # noqa: ANN401  (a batch holds anything)
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    return value.to(device, non_blocking=non_blocking) if isinstance(value, torch.Tensor) else value


def _as_pairs(sizes: Any) -> list[tuple[int, int]]:  # noqa: ANN401  (a tensor or an array)
    return [(int(height), int(width)) for height, width in sizes.tolist()]


def _framed(
    pixels: torch.Tensor, stored_hw: list[tuple[int, int]], resized_hw: list[tuple[int, int]], wanted: PixelFormat
) -> torch.Tensor:
    """Resized, padded and normalised, (B, 3, H, W)."""
    batch = torch.zeros((len(pixels), _CHANNELS, *wanted.padded_hw(resized_hw)), dtype=wanted.dtype, device=pixels.device)
    white, mean, std = _constants(tuple(wanted.mean), tuple(wanted.std), pixels.device)
    for frame, image, (rows, columns), size_hw in zip(batch, pixels, stored_hw, resized_hw, strict=True):
        grey = resize(image[:rows, :columns], size_hw).to(torch.float32)
        frame[:, : size_hw[0], : size_hw[1]] = grey.div_(white).sub_(mean).div_(std)
    return batch


@lru_cache(maxsize=64)
def _constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[torch.Tensor, ...]:
    """White, mean and standard deviation, float32 (C, 1, 1).

    As tensors, because dividing by one is rounded correctly on every device, where dividing by a number may be multiplying by
    its inverse; and once, because making them there waits for the device.
    """
    return tuple(torch.tensor(values, device=device).reshape(-1, 1, 1) for values in ((255.0,), mean, std))


class _Started(NamedTuple):
    """A batch whose copies and kernels are on their way, and what to wait for."""

    batch: dict[str, Any]
    done: torch.cuda.Event | None


class DeviceBatches:
    """The batches of a loader, on a device, some of them ahead of the one in use.

    On CUDA the work runs on a stream of its own, beside the model's, and tensors that are not in pinned memory yet are
    pinned first (``DataLoader(pin_memory=True)`` does that in a thread). Elsewhere the same is done in turn.
    Give a collator that reuses its memory (``buffers``) at least ``ahead + 2`` of them. A batch may be a dict of batches, as
    a ``JointLoader`` gives.

    Args:
        batches: such as a ``DataLoader`` with ``collate_fn=RegionCollator()``; iterated anew each time.
        device: where to.
        pixels: what becomes of the pixels; SAM's float32 (B, 3, 1024, 1024) by default.
        ahead: how many batches are prepared before they are asked for. ``state_dict`` is the loader's after the batch in use.

    Raises:
        ConfigError: ``ahead`` is negative.
    """

    def __init__(
        self,
        batches: Iterable[Mapping[str, Any]],
        device: torch.device | str,
        pixels: PixelFormat | None = None,
        *,
        ahead: int = 1,
    ) -> None:
        if ahead < 0:
            raise ConfigError(f"ahead={ahead} is no number of batches from 0 on")
        self.batches, self.device, self.pixels, self.ahead = batches, torch.device(device), pixels, ahead
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None  # type: ignore[no-untyped-call]  # torch's own

        self._waiting = 0  # batches that the loader gave and the loop has not seen

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]  # a loader has a length; of what has none, the error says so

    def state_dict(self) -> dict[str, Any]:
        """The state of a ``RegionLoader`` or ``JointLoader`` after the batch that was last given, not after those taken ahead."""
        state: dict[str, Any] = self.batches.state_dict()  # type: ignore[attr-defined]  # of one of the two
        # One counts samples, the other steps.
        return {**state, "position": state["position"] - self._waiting * state.get("global_batch", 1)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next pass of the loader go on behind the state."""
        self.batches.load_state_dict(state)  # type: ignore[attr-defined]  # of one of the two
        self._waiting = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        started: deque[_Started] = deque()
        for batch in self.batches:
            started.append(self._start(batch))
            if len(started) > self.ahead:
                yield self._finish(started)
        while started:
            yield self._finish(started)

    def _start(self, batch: Mapping[str, Any]) -> _Started:
        if self._stream is None:
            return _Started(self._moved(batch), None)
        with torch.cuda.stream(self._stream):
            return _Started(self._moved(batch), self._stream.record_event())

    def _moved(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        if batch and all(isinstance(value, Mapping) for value in batch.values()):
            return {source: self._moved(value) for source, value in batch.items()}
        if self._stream is None:
            return to_device(batch, self.device, self.pixels)
        pinned = {name: _pinned(value) for name, value in batch.items()}
        return to_device(pinned, self.device, self.pixels, non_blocking=True)

    def _finish(self, started: deque[_Started]) -> dict[str, Any]:
        batch, done = started.popleft()
        self._waiting = len(started)
        if done is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(done)
            _record(batch, current)
        return batch


def _record(batch: Mapping[str, Any], stream: torch.cuda.Stream) -> None:
    """Say that a stream uses the batch, whose memory was taken on another."""
    for value in batch.values():
        if isinstance(value, torch.Tensor):
            value.record_stream(stream)
        elif isinstance(value, Mapping):
            _record(value, stream)


def _pinned(value: object) -> object:
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    return value.pin_memory() if isinstance(value, torch.Tensor) else value
