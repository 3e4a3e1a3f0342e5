"""The CSV files of Open Images: their columns by name, some MiB at a time, never as Python objects.

Files of several GB are mapped; their pages go back to the kernel as soon as they are decoded.
"""

from __future__ import annotations

import codecs
import csv
import io
import mmap
import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from regioncache.errors import AnnotationError
from regioncache.sources.regions import Category

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from regioncache.sources.record import AnnotationFile

BLOCK_BYTES = 4 << 20
TEXT = pa.string()
"""A column whose values differ."""
CHOICE = pa.dictionary(pa.int32(), pa.string())
"""A column of few different values."""
ID_DIGITS = 16
_HEADER_BYTES = 1 << 16
_SHOWN = 80
_NO_DIGIT = 255
_DIGITS = b"0123456789abcdef"
_DIGIT_VALUES = np.full(256, _NO_DIGIT, np.uint8)
_DIGIT_VALUES[np.frombuffer(_DIGITS, np.uint8)] = np.arange(16, dtype=np.uint8)
_LARGEST = 1e9  # of shares of an image's sides, which lie around 0 and 1
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


class Lines(NamedTuple):
    """Some lines of a file.

    Attributes:
        row: place of each line in the file, from 0, the header and nothing else not counted; int64 (n,). Line
            ``row + 2`` of the file, as editors count.
        columns: by name, n values each.
        misfits: lines with too few or too many columns: row and what is wrong.
    """

    row: NDArray[np.int64]
    columns: dict[str, pa.Array]
    misfits: list[tuple[int, str]]


def read_lines(
    file: AnnotationFile,
    required: Mapping[str, pa.DataType],
    optional: Mapping[str, pa.DataType] | None = None,
    *,
    has_line_breaks: bool = False,
) -> Iterator[Lines]:
    """A file's lines in order; every value is the text that stands there.

    Args:
        file: the file.
        required: columns by name, ``TEXT`` or ``CHOICE``.
        optional: more of them; those that the file lacks are not among the columns.
        has_line_breaks: whether quoted values may hold line breaks.

    Raises:
        AnnotationError: the file has no header with the columns, or is no CSV.
    """
    data = memoryview(file.data)
    header = _header(file.name, data)
    missing = [name for name in required if name not in header]
    wanted = [name for name in (*required, *(optional or ())) if name in header]
    if missing or any(header.count(name) > 1 for name in wanted):
        problem = f"lacks the column {', '.join(missing)}" if missing else "has two columns of one name"
        raise AnnotationError(file.name, problem, expected=", ".join(required), found=_shortened(", ".join(header)))
    if len(data) < _HEADER_BYTES and len(data.tobytes().splitlines()) == 1:
        return
    skipped: deque[tuple[int, str]] = deque()

    def misfit(line: pa_csv.InvalidRow) -> str:
        found = f"{line.actual_columns} columns in place of {line.expected_columns}: {_shortened(line.text)!r}"
        skipped.append((line.number - 2, found))
        return "skip"

    kinds = {**required, **(optional or {})}
    next_row = 0
    try:
        reader = pa_csv.open_csv(
            _Utf8(data),
            read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                ignore_empty_lines=False, newlines_in_values=has_line_breaks, invalid_row_handler=misfit
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: kinds[name] for name in wanted},
                include_columns=wanted,
                check_utf8=False,
                null_values=[],
            ),
        )
        for batch in reader:
            here: list[tuple[int, str]] = []
            while skipped and skipped[0][0] < next_row + len(batch) + len(here):
                here.append(skipped.popleft())
            row = np.arange(next_row, next_row + len(batch) + len(here))
            next_row += len(row)
            row = np.delete(row, np.array([place for place, _ in here], np.int64) - row[:1].sum())
            yield Lines(row, dict(zip(wanted, batch.columns, strict=True)), here)
    except pa.ArrowException as error:
        raise AnnotationError(file.name, f"cannot be read as CSV: {error}", remedy="Fetch it again") from error
    if skipped:
        yield Lines(np.zeros(0, np.int64), {name: pa.array([], kinds[name]) for name in wanted}, list(skipped))


class _Utf8(io.RawIOBase):
    """A file read as UTF-8: bytes that are none become U+FFFD, as Arrow cannot report a line that holds them.

    Pieces of ASCII are views of the file. The pages of a mapped file are given back as the reader goes on; who needs them
    again gets them again.
    """

    def __init__(self, data: memoryview) -> None:
        self._data, self._place = data, 0
        self._ready = pa.py_buffer(b"")
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def readable(self) -> bool:
        return True

    def read_buffer(self, size: int) -> pa.Buffer:
        """What Arrow calls in place of ``read``: at most ``size`` bytes, and none at the end."""
        while not len(self._ready) and self._place < len(self._data):
            if isinstance(self._data.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                self._data.obj.madvise(mmap.MADV_DONTNEED)
            piece = self._data[self._place : self._place + size]
            self._place += len(piece)
            is_within_a_character = bool(self._decoder.getstate()[0])
            if is_within_a_character or np.frombuffer(piece, np.int8).min() < 0:
                text = self._decoder.decode(piece, final=self._place == len(self._data))
                self._ready = pa.py_buffer(text.encode())
            else:
                self._ready = pa.py_buffer(piece)
        found, self._ready = self._ready[:size], self._ready[size:]
        return found


def _header(name: str, data: memoryview) -> list[str]:
    lines = data[:_HEADER_BYTES].tobytes().splitlines()
    try:
        text = lines[0].decode("utf-8-sig") if lines else ""
    except UnicodeDecodeError as error:
        raise AnnotationError(
            name, f"its first line is no text: {error}", expected="a CSV in UTF-8", found=lines[0][:16]
        ) from error
    return next(csv.reader([text]), [])


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def text_at(column: pa.Array, k: int) -> str:
    """The value of one line as text, for a message."""
    return _shortened(column[k].as_py())


def id_values(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids of 16 lower-case hexadecimal digits as the 64-bit numbers that they write, read as signed ones.

    Returns:
        int64 (n,), and which of them are such ids, bool (n,); the others are 0.
    """
    _, offsets_buffer, characters_buffer = column.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[column.offset : column.offset + len(column) + 1]
    is_id = np.diff(offsets) == ID_DIGITS
    values = np.zeros(len(column), np.int64)
    if not is_id.any():
        return values, is_id
    characters = np.frombuffer(characters_buffer, np.uint8)
    if is_id.all():
        digits = _DIGIT_VALUES[characters[offsets[0] : offsets[-1]]].reshape(-1, ID_DIGITS)
    else:
        digits = _DIGIT_VALUES[characters[offsets[:-1][is_id, None] + np.arange(ID_DIGITS)]]
    packed = np.ascontiguousarray(digits[:, 0::2] << 4 | digits[:, 1::2]).view(">i8").ravel()
    is_hexadecimal = digits.max(axis=1) != _NO_DIGIT
    values[is_id] = np.where(is_hexadecimal, packed, 0)
    is_id[is_id] = is_hexadecimal
    return values, is_id


def id_file_names(image_ids: NDArray[np.int64]) -> pa.Array:
    """The file name of each image, ``<id>.jpg``, from int64 (n,)."""
    ending = np.frombuffer(b".jpg", np.uint8)
    pairs = image_ids.astype(">i8").view(np.uint8).reshape(-1, ID_DIGITS // 2)
    names = np.empty((len(image_ids), ID_DIGITS + len(ending)), np.uint8)
    digits = np.frombuffer(_DIGITS, np.uint8)
    names[:, 0:ID_DIGITS:2], names[:, 1:ID_DIGITS:2], names[:, ID_DIGITS:] = digits[pairs >> 4], digits[pairs & 15], ending
    offsets = np.arange(len(image_ids) + 1, dtype=np.int32) * names.shape[1]
    return pa.StringArray.from_buffers(len(image_ids), pa.py_buffer(offsets), pa.py_buffer(names))


def choices(column: pa.Array, values: Mapping[str, int], otherwise: int) -> NDArray[np.int16]:
    """What ``values`` says of each text of a ``CHOICE``, int16 (n,)."""
    of_text = np.array([values.get(one, otherwise) for one in column.dictionary.to_pylist()], np.int16)
    found: NDArray[np.int16] = of_text[column.indices.to_numpy()]
    return found


def numbers(column: pa.Array) -> NDArray[np.float64]:
    """The numbers of a ``TEXT``, float64 (n,), NaN where there is none, or one that no arithmetic would survive."""
    try:
        found: NDArray[np.float64] = pc.cast(column, pa.float64()).to_numpy()
    except pa.ArrowInvalid:  # one of the block's is none: look at each
        texts = column.to_pylist()
        found = np.array([float(one) if _NUMBER.fullmatch(one) else np.nan for one in texts], np.float64)
    return np.where(np.abs(found) <= _LARGEST, found, np.nan)


def read_classes(file: AnnotationFile) -> list[Category]:
    """The classes, in the order of the file: a machine id (MID) and a name per line.

    Copies circulate with and without a header, with commas and with semicolons, and with all three kinds of line ends.

    Raises:
        AnnotationError: a line is no such pair, or two have one MID.
    """
    try:
        lines = bytes(file.data).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise AnnotationError(file.name, f"is no text: {error}", expected="a CSV in UTF-8", found="other bytes") from error
    separator = next((one for line in lines[:1] for one in line if one in ",;"), ",")
    found: list[Category] = []
    mids: set[str] = set()
    for number, fields in enumerate(csv.reader(lines, delimiter=separator), 1):
        if not fields or (number == 1 and not fields[0].startswith("/")):  # a blank line, a header
            continue
        mid, name = [*fields, "", ""][:2]
        if not mid.startswith("/") or not name or mid in mids:
            problem = "names a class again" if mid in mids else "is no class"
            raise AnnotationError(
                file.name,
                f"line {number} {problem}",
                expected="a MID and a name, such as /m/0k4j,Car",
                found=_shortened(str(fields)),
            )
        mids.add(mid)
        found.append(Category(len(found), name, is_thing=True, index=len(found), published_id=mid))
    return found


def class_numbers(categories: Sequence[Category]) -> dict[str, int]:
    """The place of each class by its MID, as ``choices`` takes it."""
    return {one.published_id: one.index for one in categories}
