"""The floor: flat arrays in memory-mapped files, sliced by hand. No library can be much faster; none of its features is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers import Encoded, Sample
    from regioncache.encode.tokenizer import Tokenizer

TITLE = "floor: np.memmap of flat arrays, boxes in the frame"


def write(folder: Path, rows: Sequence[Encoded], kind: str, tokenizer: Tokenizer) -> None:
    """See ``Peer.write``."""
    del kind, tokenizer
    flat = {
        "boxes": np.concatenate([row.example.box_in_frame for row in rows]),
        "source_boxes": np.concatenate([row.example.box_xyxy for row in rows]),
        "region_id": np.concatenate([row.example.region_id for row in rows]),
        "input_ids": np.concatenate([row.input_ids for row in rows]),
        "token_count": np.concatenate([row.token_count for row in rows]),
        "rle": np.frombuffer(b"".join(counts for row in rows for counts in row.example.counts), np.uint8),
        "rle_length": np.array([len(counts) for row in rows for counts in row.example.counts], np.int32),
        "image": np.frombuffer(b"".join(row.image.data for row in rows), np.uint8),
        "caption": np.frombuffer("".join(one for row in rows for one in row.example.phrases).encode(), np.uint8),
        "caption_length": np.array([len(one.encode()) for row in rows for one in row.example.phrases], np.int32),
    }
    flat["category_index"] = np.zeros(len(flat["region_id"]), np.int32)
    flat["is_crowd"] = np.zeros(len(flat["region_id"]), np.bool_)
    sizes = {
        "region": [len(row.example.region_id) for row in rows],
        "token": [len(row.input_ids) for row in rows],
        "rle": [sum(map(len, row.example.counts)) for row in rows],
        "image": [len(row.image.data) for row in rows],
        "caption": [len("".join(row.example.phrases).encode()) for row in rows],
    }
    ends = [np.cumsum(lengths) for lengths in sizes.values()]
    starts = [end - lengths for end, lengths in zip(ends, sizes.values(), strict=True)]
    shape = [row.image.size_hw for row in rows]
    table = np.column_stack([*(np.column_stack(pair) for pair in zip(starts, ends, strict=True)), shape])
    image_id = np.array([row.example.image_id for row in rows])
    np.save(folder / "table.npy", np.column_stack([table, image_id]).astype(np.int64))
    for name, values in flat.items():
        np.save(folder / f"{name}.npy", values)


def open_flat(folder: Path) -> dict[str, NDArray[Any]]:
    """The mapped arrays, as plain arrays: slicing ``np.memmap`` itself is slower."""
    return {path.stem: np.asarray(np.load(path, mmap_mode="r")) for path in folder.glob("*.npy")}


def pixels(data: NDArray[np.uint8], height: int, width: int, kind: str) -> NDArray[np.uint8]:
    """A stored image's pixels; a raw one is a view of the map."""
    if kind.startswith("raw"):
        return data.reshape(height, width, 3)
    decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
    return decoded


def open_store(folder: Path, kind: str) -> Callable[[int], Sample]:
    """See ``Peer.open_store``."""
    flat = open_flat(folder)
    table, boxes, region_id, rle, image = (flat[name] for name in ("table", "boxes", "region_id", "rle", "image"))
    input_ids, token_count, rle_length = flat["input_ids"], flat["token_count"], flat["rle_length"]

    def sample(index: int) -> Sample:
        r0, r1, t0, t1, m0, m1, i0, i1, _, _, height, width, image_id = table[index].tolist()
        found = {
            "image_id": image_id,
            "size_hw": (height, width),
            "region_id": region_id[r0:r1],
            "boxes": boxes[r0:r1],
            "input_ids": input_ids[t0:t1],
            "token_count": token_count[r0:r1],
            "rle": rle[m0:m1],
            "rle_length": rle_length[r0:r1],
        }
        if kind != "none":
            found["image"] = pixels(image[i0:i1], height, width, kind)
        return found

    return sample
