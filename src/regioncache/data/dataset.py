"""``ParquetRegionDataset``: rows of a cache as arrays, read in place."""

from __future__ import annotations

import os
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regioncache.cache.damage import DAMAGE, REMEDY
from regioncache.data.captions import Captions
from regioncache.data.masks import RegionRLEs, dense_masks, low_res_masks_of
from regioncache.data.open_cache import OpenShard, ShardSet, as_paths, find_shards
from regioncache.data.plain_rows import plain_reader
from regioncache.data.regions import RegionChoice, RegionFacts
from regioncache.data.rng import sample_generator
from regioncache.data.row_geometry import FrameSizes
from regioncache.data.sidecar_values import add_points, add_tokens, phrase_positions
from regioncache.data.stored_images import encoded_image
from regioncache.errors import CacheError, ConfigError, RegioncacheError
from regioncache.geometry import frame_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regioncache.cache.rows import Rows
    from regioncache.data.plain_rows import PlainReader
    from regioncache.data.regions import RegionPolicy

Sample = dict[str, Any]
Record = tuple[int, ...]


class ParquetRegionDataset:
    """A map-style dataset over one cache, one Parquet file, or several of them in a row.

    ``dataset[i]`` is a dict of numpy arrays; n is the sample's number of chosen regions:

    ==================== ====================== ===========================================================
    image_id             int                    id in the source's space
    task_type            str                    "recognition" or "caption"
    original_sizes       int64 (2,)             source height, width
    reshaped_input_sizes int64 (2,)             height, width in the frame, before padding
    input_boxes          float64 (n, 4)         xyxy in the frame, cut to the image
    metadata_input_boxes float32 (n, 4)         xyxy in source pixels, as published
    metadata_region_id   int64 (n,)             ids in the source's space
    category_index       int32 (n,)             dense category
    is_crowd             bool (n,)              one region for a group
    metadata_captions    sequence of n str      the chosen phrase of each region, decoded when read
    image                uint8 (H, W, 3)        ``image="uint8"``: RGB pixels as stored; for ``"bytes"`` an ``EncodedImage``
    input_ids            int32 (sum of length,) with ``tokens``: ids of all chosen phrases, one after the other
    input_ids_length     int32 (n,)             with ``tokens``: how many belong to each region
    tokenizer            TokenizerInfo          with ``tokens``: how to pad
    input_points         float64 (n, k, 2)      with ``prompts``: points inside the region, xy in the frame
    input_labels         int64 (n, k)           with ``prompts``: 1, foreground
    segmentation         sequence of n dicts    ``masks="rle"``: COCO compressed RLE at source size
    masks                bool (n, h, w)         ``"lowres"``: in the frame's 256 x 256; ``"dense"``: at source size;
                                                no pixel where the dataset has no mask for a region
    ignore_boxes         float64 (k, 4)         with ``regions``: of regions that are no targets and no background
                                                either, such as crowds; xyxy in the frame, cut to the image
    ignore_segmentation, as the targets' masks  with ``regions`` and ``masks``: the masks of these
    ignore_masks
    ==================== ====================== ===========================================================

    Arrays that share memory with the mapped file are read-only, and may lie at odd addresses: copy before you change them or
    hand them to a device (the collator does). Nothing is opened before the first row in each process, no
    Python object per row exists anywhere, and a pickled dataset is its arguments.

    Args:
        path: a cache folder, a Parquet file of samples, or several of them, joined in that order.
        tokens: name of a tokens side-car, such as ``byt5-sca-20``; None leaves tokens out.
        prompts: name of a prompts side-car, ``sam`` or ``square``, which is also the frame of the boxes; None gives boxes
            in the ``sam`` frame and no points.
        image: ``uint8`` decodes, ``bytes`` leaves that to the collator (fastest), None leaves images out.
        masks: None, ``rle``, ``lowres`` or ``dense``.
        regions: None for all regions in stored order with their first phrase, crowds among them; or a policy, such as
            ``ShuffledRegions`` or ``SelectedRegions``, which leave crowds out of the targets.
        transforms: applied to each finished sample: ``(sample, generator) -> sample``.
        seed: seed of every random choice; choices are a function of (seed, epoch, index).
        archives: folder of the archives that ``reference`` images lie in, if it moved since the build.
        io: ``mmap`` maps everything; ``pread`` reads each stored image with one call, for network file systems.

    Raises:
        CacheError: a cache is unfinished, damaged, newer, or lacks what was asked for.
        ConfigError: an argument is none of its choices.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        *,
        tokens: str | None = None,
        prompts: str | None = None,
        image: Literal["uint8", "bytes"] | None = "uint8",
        masks: Literal["rle", "lowres", "dense"] | None = None,
        regions: RegionPolicy | None = None,
        transforms: Callable[[Sample, np.random.Generator], Sample] | None = None,
        seed: int = 0,
        archives: str | Path | None = None,
        io: Literal["mmap", "pread"] = "mmap",
    ) -> None:
        _check_choice("image", image, ("uint8", "bytes", None))
        _check_choice("masks", masks, ("rle", "lowres", "dense", None))
        _check_choice("io", io, ("mmap", "pread"))
        self.paths = as_paths(path)
        if not self.paths:
            raise ConfigError("a dataset needs at least one path; the list is empty")
        self.tokens, self.prompts, self.image, self.masks = tokens, prompts, image, masks
        self.regions, self.transforms, self.seed = regions, transforms, seed
        self.archives = None if archives is None else Path(archives)
        self.io = io
        self.frame = frame_named(prompts or "sam")
        self._sizes = FrameSizes(self.frame)
        self.epoch = 0
        self._opened: _Opened | None = None
        self._shards_of_process()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_opened", "_sizes")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._sizes = FrameSizes(self.frame)
        self._opened = None

    def _shards_of_process(self) -> _Opened:
        if self._opened is None or self._opened.process != os.getpid():
            sets = [
                find_shards(path, tokens=self.tokens, prompts=self.prompts, archives=self.archives, use_pread=self.io == "pread")
                for path in self.paths
            ]
            self._opened = _Opened(sets, self._plain_reader)
        return self._opened

    def __len__(self) -> int:
        return self._shards_of_process().rows

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that ``dataset[i]`` draws for.

        Workers that live longer than an epoch do not see this; ask for ``dataset[epoch, i]`` there.
        """
        self.epoch = epoch

    def __getitem__(self, index: int | tuple[int, int]) -> Sample:
        """The sample at ``index`` in this epoch, or at ``(epoch, index)``.

        Raises:
            IndexError: there is no such row.
            CacheError: the shard cannot be read.
        """
        epoch, at = index if isinstance(index, tuple) else (self.epoch, int(index))
        opened = self._shards_of_process()
        count = opened.rows
        if not -count <= at < count:
            raise IndexError(f"sample {at} of a dataset of {count}")
        at %= count
        shard, plain, row = opened.locate(at)
        generator = None if self.regions is None and self.transforms is None else sample_generator(self.seed, epoch, at)
        try:
            sample = None if plain is None else plain(row)
            if sample is None:
                sample = self._read(shard, row, generator)
        except RegioncacheError:
            raise
        except DAMAGE as error:
            problem = f"row {row} cannot be read ({type(error).__name__}: {error})"
            raise CacheError(shard.samples.path, problem, remedy=REMEDY) from error
        return sample if self.transforms is None or generator is None else self.transforms(sample, generator)

    def _plain_reader(self, shard: OpenShard) -> PlainReader | None:
        if self.regions is not None or self.transforms is not None:
            return None
        if self.prompts is not None or self.masks not in (None, "rle"):
            return None
        return plain_reader(shard, self._sizes, rle=self.masks == "rle", image=self.image)

    def _read(self, shard: OpenShard, row: int, generator: np.random.Generator | None) -> Sample:
        rows = shard.samples
        record = rows.record(row)
        image_id, height, width, published, region_id, category_index, is_crowd = shard.regions(record)
        geometry = self._sizes[height, width]
        boxes = published.astype(np.float64)
        if not rows.boxes_inside:
            np.maximum(boxes, 0.0, out=boxes)
            np.minimum(boxes, geometry.corner, out=boxes)
        choice = None
        if self.regions is not None and generator is not None:
            counts, area = rows.array(record, "phrase_count"), rows.array(record, "area")
            choice = self.regions.choose(generator, RegionFacts(boxes, counts, area, category_index, is_crowd))
            ignored_boxes = boxes[choice.ignored] * geometry.scale if len(choice.ignored) else np.zeros((0, 4))
            chosen = choice.regions
            boxes, published, region_id = boxes[chosen], published[chosen], region_id[chosen]
            category_index, is_crowd = category_index[chosen], is_crowd[chosen]
        boxes *= geometry.scale
        spoken = phrase_positions(rows, record, choice)
        sample: Sample = {
            "image_id": image_id,
            "task_type": rows.text(record, "task_type"),
            "original_sizes": geometry.original_hw,
            "reshaped_input_sizes": geometry.resized_hw,
            "input_boxes": boxes,
            "metadata_input_boxes": published,
            "metadata_region_id": region_id,
            "category_index": category_index,
            "is_crowd": is_crowd,
            "metadata_captions": Captions(rows.byte_strings(record, "phrases"), spoken),
        }
        if choice is not None:
            sample["ignore_boxes"] = ignored_boxes
        if self.image is not None:
            encoded = encoded_image(shard, record)
            sample["image"] = encoded if self.image == "bytes" else encoded.decode()
        if shard.tokens is not None:
            add_tokens(sample, shard, shard.tokens, row, spoken)
        prompts = None if shard.prompts is None else (shard.prompts, shard.prompts.record(row))
        if prompts is not None:
            add_points(sample, *prompts, rows.count(record, "region_id"), choice, geometry.scale)
        if self.masks is not None:
            self._add_masks(sample, rows, record, (height, width), choice, prompts)
        return sample

    def _add_masks(
        self,
        sample: Sample,
        rows: Rows,
        record: Record,
        size_hw: tuple[int, int],
        choice: RegionChoice | None,
        prompts: tuple[Rows, Record] | None,
    ) -> None:
        if self.masks == "rle":
            counts = rows.byte_strings(record, "segmentation")
            sample["segmentation"] = RegionRLEs(counts, size_hw, None if choice is None else choice.regions)
            if choice is not None:
                sample["ignore_segmentation"] = RegionRLEs(counts, size_hw, choice.ignored)
            return
        wanted = None if choice is None else np.concatenate((choice.regions, choice.ignored))
        if self.masks == "dense":
            masks = dense_masks(rows, record, size_hw, wanted)
        else:
            masks = low_res_masks_of(rows, record, size_hw, wanted, self.frame, prompts)
        sample["masks"] = masks if choice is None else masks[: len(choice.regions)]
        if choice is not None:
            sample["ignore_masks"] = masks[len(choice.regions) :]


class _Opened:
    """The shards of one process, each mapped when its first row is asked for, with the reader of its plain rows."""

    def __init__(self, sets: list[ShardSet], plain_reader_of: Callable[[OpenShard], PlainReader | None]) -> None:
        self._plain_reader_of = plain_reader_of
        self.process = os.getpid()
        self._shards = [(one, shard) for one in sets for shard in range(len(one.names))]
        self._ends = list(accumulate(rows for one in sets for rows in one.rows))
        self._open: list[tuple[OpenShard, PlainReader | None] | None] = [None] * len(self._shards)
        self.rows = self._ends[-1] if self._ends else 0

    def locate(self, index: int) -> tuple[OpenShard, PlainReader | None, int]:
        at = bisect_right(self._ends, index)
        opened = self._open[at]
        if opened is None:
            one, shard = self._shards[at]
            shard_of_rows = one.open(shard)
            opened = self._open[at] = (shard_of_rows, self._plain_reader_of(shard_of_rows))
        return *opened, index - (self._ends[at - 1] if at else 0)


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name}={value!r} is none of {', '.join(map(repr, choices))}")
