"""TSV files of one JSON value per region, with or without the side-car files that say where each line begins.

A line is ``<image id>-<place>-<region id>``, a tab, and a JSON value. Such a file takes gigabytes, so that only the place
of each image's lines is kept; the lines themselves are read when the image is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regioncache.errors import AnnotationError, BadRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from regioncache.sources.record import AnnotationFile

_SCANNED_BYTES = 1 << 24
_ROWS_AT_A_TIME = 1 << 16
_KEY_BYTES = 24  # of a line, in which its image id must end: 20 digits, and a few spaces before them
_FARTHEST = 4  # times its own size that a file may be read, where lines of one image lie apart
_SMALL_BYTES = 1 << 20
_NEW_LINE, _HYPHEN, _ZERO, _NINE = b"\n-09"
_SPACES = np.frombuffer(b" \t\r\v\f", np.uint8)
_BINARY_INDEX = ".8b"
_INDEX_WIDTH = 8


class TsvKey(NamedTuple):
    """What a line belongs to."""

    image_id: int
    place: int
    region_id: int


class Windows(NamedTuple):
    """Where each image's lines lie: from its first to its last, which may hold lines of other images too.

    Attributes:
        image_id: int64 (n,), rising.
        start, end: int64 (n,), bytes from the start of the file.
        bad_lines: int64, places of lines whose key has no image id; blank lines are none.
        lines: how many lines there are.
    """

    image_id: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    bad_lines: NDArray[np.int64]
    lines: int


def line_starts(file: AnnotationFile, index: AnnotationFile | None = None) -> NDArray[np.int64]:
    """Where each line begins, int64 (n,).

    Args:
        file: the TSV file.
        index: its ``.lineidx.8b`` (little-endian uint64) or ``.lineidx`` (decimal, one a line); None reads through the file.

    Raises:
        AnnotationError: the index does not fit the file.
    """
    data = np.frombuffer(file.data, np.uint8)
    if index is None:
        ends = [np.flatnonzero(data[at : at + _SCANNED_BYTES] == _NEW_LINE) + at for at in range(0, len(data), _SCANNED_BYTES)]
        starts = np.concatenate([[0], *ends]).astype(np.int64)
        starts[1:] += 1
        return starts[starts < len(data)]
    starts = _read_index(index)
    rises = len(starts) > 0 and starts[0] == 0 and bool((starts[1:] > starts[:-1]).all()) and starts[-1] < len(data)
    if not rises or (data[starts[1:] - 1] != _NEW_LINE).any() or (data[starts[-1] : -1] == _NEW_LINE).any():
        raise AnnotationError(
            index.name,
            f"this line index is not that of {file.name}",
            expected="the beginning of every line",
            found=f"{len(starts)} numbers up to {starts[-1] if len(starts) else 'none'} for {len(data)} bytes",
            remedy="Fetch both again, or leave the index out of the catalog entry: lines are found without it",
        )
    return starts


def _read_index(index: AnnotationFile) -> NDArray[np.int64]:
    data = bytes(index.data)
    try:
        if index.name.endswith(_BINARY_INDEX):
            return np.frombuffer(data, "<u8").astype(np.int64)
        return np.array([int(line) for line in data.split()], np.int64)
    except (ValueError, OverflowError) as error:
        raise AnnotationError(
            index.name,
            "this is no line index",
            expected=f"numbers of {_INDEX_WIDTH} bytes" if index.name.endswith(_BINARY_INDEX) else "a number a line",
            found=f"{len(data)} bytes, {data[:24]!r}",
            remedy="Fetch it again, or leave it out of the catalog entry",
        ) from error


def image_windows(file: AnnotationFile, index: AnnotationFile | None = None) -> Windows:
    """Where the lines of each image lie.

    Raises:
        AnnotationError: the index does not fit, or lines of one image lie so far apart that files would be read many times.
    """
    starts = line_starts(file, index)
    ends = np.append(starts[1:], len(file.data)).astype(np.int64)
    ids, blank = _image_ids(np.frombuffer(file.data, np.uint8), starts, ends)
    named = np.flatnonzero(ids >= 0)
    image_id, first, group = np.unique(ids[named], return_index=True, return_inverse=True)
    window_end = np.zeros(len(image_id), np.int64)
    np.maximum.at(window_end, group, ends[named])
    windows = Windows(
        image_id, starts[named][first], window_end, np.flatnonzero((ids < 0) & ~blank), len(starts) - int(blank.sum())
    )
    read_bytes = int((windows.end - windows.start).sum())
    if read_bytes > _FARTHEST * len(file.data) + _SMALL_BYTES:
        raise AnnotationError(
            file.name,
            "the lines of one image lie far apart",
            expected="lines in the order of their images",
            found=f"{read_bytes} bytes between first and last lines, in a file of {len(file.data)}",
            remedy="Sort the file by its keys",
        )
    return windows


def _image_ids(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The number before the first hyphen of each line, -1 where there is none; and which lines are blank."""
    ids = np.full(len(starts), -1, np.int64)
    blank = np.zeros(len(starts), np.bool_)
    for at in range(0, len(starts), _ROWS_AT_A_TIME):
        rows = slice(at, at + _ROWS_AT_A_TIME)
        value = np.zeros(len(starts[rows]), np.uint64)
        digits = np.zeros(len(value), np.int64)
        going = np.ones(len(value), np.bool_)  # before the number, or in it
        only_spaces = np.ones(len(value), np.bool_)
        for column in range(_KEY_BYTES):
            place = starts[rows] + column
            inside = place < ends[rows]
            byte = np.where(inside, data[np.minimum(place, len(data) - 1)], _NEW_LINE)
            is_digit = (byte >= _ZERO) & (byte <= _NINE)
            is_space = np.isin(byte, _SPACES) | (byte == _NEW_LINE)
            only_spaces &= is_space
            ended = going & (byte == _HYPHEN) & (digits > 0)
            ids[rows][ended] = np.where(value <= np.iinfo(np.int64).max, value, 0).astype(np.int64)[ended]
            value = np.where(going & is_digit, value * np.uint64(10) + byte - np.uint64(_ZERO), value)
            digits += going & is_digit
            going &= is_digit | (is_space & (digits == 0))
        ids[rows][digits > _LONGEST_ID] = -1
        blank[rows] = only_spaces & (ends[rows] - starts[rows] <= _KEY_BYTES)
    return ids, blank


_LONGEST_ID = 18  # digits, so that an int64 holds it


def lines_of(image_id: int, window: bytes) -> Iterator[tuple[TsvKey | None, bytes]]:
    """The lines of one image among those of a window: key and JSON value, stripped; the key is None where it is malformed."""
    for line in window.split(b"\n"):
        head, _, value = line.partition(b"\t")
        if not head.strip():
            continue
        parts = head.strip().split(b"-")
        if len(parts) != len(TsvKey._fields) or not all(part.isdigit() and len(part) <= _LONGEST_ID for part in parts):
            if parts[0] == str(image_id).encode():
                yield None, line
            continue
        key = TsvKey(*map(int, parts))
        if key.image_id == image_id:
            yield key, value.strip()


def shown_line(line: bytes) -> str:
    """The beginning of a line, for errors."""
    return repr(line[:60].decode(errors="replace"))


def no_key(line: bytes) -> BadRecordError:
    """The error for a line whose key cannot be read."""
    return BadRecordError("file_record_invalid", f"expected <image>-<place>-<region> and a tab, found {shown_line(line)}")
