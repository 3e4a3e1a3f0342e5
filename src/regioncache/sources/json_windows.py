"""The large arrays of one JSON file, decoded some MiB at a time.

The file is looked through once for its top-level arrays, which become views of it. Each is then cut into windows between
two of its objects, and each window is decoded into typed records. So a file of many GB is never a tree of objects, and
where it is mapped its pages are the kernel's to take back.

A cut is made where ``}``, a comma and ``{`` follow one another. That may also stand inside a text or between the objects of
an inner array; what stands before such a cut lacks its end, does not decode, and an earlier cut is tried.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import msgspec
import pyarrow as pa

from regioncache.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regioncache.sources.record import AnnotationFile

WINDOW_BYTES = 32 << 20
"""Of JSON that are records at a time; as objects they take two to three times as much."""

_Top = TypeVar("_Top", bound=msgspec.Struct)


class Window(NamedTuple):
    """Some records of an array.

    Attributes:
        records: a list that its user may empty.
        base: the address at which the file would begin, did all of it lie around the records as it does in the file.
    """

    records: list[Any]
    base: int


def _truncation() -> str:
    """What the decoder says of an input that ends too early, and of no other."""
    try:
        msgspec.json.decode(b"[")
    except msgspec.DecodeError as error:
        return str(error)
    raise AssertionError


_TRUNCATED = _truncation()
_CUT = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*\{")
_FIRST_STEP_BYTES = 64


class JsonWindows:
    """Decodes one file.

    Args:
        file: the file.
        kind: what it is, in words, for errors.
        window_bytes: about how much of the file is records at a time.
    """

    def __init__(self, file: AnnotationFile, kind: str, window_bytes: int = WINDOW_BYTES) -> None:
        self._name, self._kind, self._window_bytes = file.name, kind, window_bytes
        # A view of our own: an error that still holds it does not keep the archive from closing.
        self._data = memoryview(file.data)
        self._address = pa.py_buffer(self._data).address

    def top(self, kind: type[_Top]) -> _Top:
        """The file's outermost object; fields of type ``msgspec.Raw`` are views of it.

        Raises:
            AnnotationError: the file is no JSON, or lacks a field.
        """
        try:
            return msgspec.json.decode(self._data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(str(error), error)

    def records(self, what: str, raw: msgspec.Raw, kind: type[msgspec.Struct]) -> Iterator[Window]:
        """All records of an array, in order.

        Args:
            what: the array's name.
            raw: the array, a field of ``top``.
            kind: of its records.

        Raises:
            AnnotationError: it is no array of such records; the error names the record.
        """
        text = memoryview(raw)
        origin = pa.py_buffer(text).address - self._address
        decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]  # a type made at run time
        if text[0] != ord("["):
            self._decoded(decoder, text, what, 0, origin)
        start, end, done = 1, len(text) - 1, 0
        while start < end:
            chunk, records, following = self._window(decoder, text, start, what, done, origin)
            done += len(records)
            yield Window(records, pa.py_buffer(chunk).address - (origin + start - 1))
            start = following

    def _window(
        self, decoder: msgspec.json.Decoder[list[Any]], text: memoryview, start: int, what: str, done: int, origin: int
    ) -> tuple[bytearray, list[Any], int]:
        """The window that begins at ``start``: its text between brackets, its records, and where the next one begins."""
        size, end, position = self._window_bytes, len(text) - 1, origin + start - 1
        while start + size < end:
            chunk = bytearray(b"[") + text[start : start + size]
            for brace, following in _cuts(chunk):
                after, chunk[brace + 1] = chunk[brace + 1], ord("]")
                records = self._decoded(decoder, memoryview(chunk)[: brace + 2], what, done, position)
                if records is not None:
                    return chunk, records, start + following - 1
                chunk[brace + 1] = after
            size *= 2  # no record ends here: it is longer than the window
        chunk = bytearray(b"[") + text[start:end] + b"]"
        records = self._decoded(decoder, chunk, what, done, position)
        if records is None:
            self._refuse(f"{what}[{done}] and on: {_TRUNCATED}", None)
        return chunk, records, end

    def _decoded(
        self, decoder: msgspec.json.Decoder[list[Any]], chunk: bytearray | memoryview, what: str, done: int, position: int
    ) -> list[Any] | None:
        """The records of a window; None where it ends inside a record.

        Args:
            decoder: of a list of records.
            chunk: the window between brackets.
            what: the array's name.
            done: how many of its records stand before the window.
            position: of the window in the file.
        """
        try:
            return decoder.decode(chunk)
        except UnicodeDecodeError as error:
            at = position + bytes(chunk).find(error.object) + error.start
            self._refuse(f"{what}: a text is not UTF-8 (byte {at})", error)
        except (msgspec.DecodeError, RecursionError) as error:
            if str(error) == _TRUNCATED:
                return None
            found = re.search(r" - at `\$(?:\[(\d+)\])?(.*)`$", str(error))
            if found is None or found[1] is None:
                where = re.sub(r"\bbyte (\d+)\b", lambda match: f"byte {position + int(match[1])}", str(error))
                self._refuse(f"{what}: {where}", error)
            record = f"{what}[{done + int(found[1])}]{found[2]}"
            self._refuse(f"{record}: {str(error)[: found.start()]}", error)

    def _refuse(self, problem: str, error: BaseException | None) -> NoReturn:
        raise AnnotationError(
            self._name,
            f"no {self._kind}: {problem}",
            remedy="Compare it with the published format, or fetch it again; NaN and Infinity are no JSON",
        ) from error


def _cuts(chunk: bytearray) -> Iterator[tuple[int, int]]:
    """Where a record may end and the next begin, the last place first; each that failed makes the step back longer."""
    end, step = len(chunk), _FIRST_STEP_BYTES
    while (end := chunk.rfind(b"}", 0, max(end, 0))) >= 0:
        match = _CUT.match(chunk, end)
        if match:
            yield end, match.end() - 1
            end -= step
            step *= 4
