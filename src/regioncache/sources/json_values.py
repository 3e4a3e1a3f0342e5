"""JSON from strangers: what decoding it may raise, and the values that are decoded one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from regioncache.errors import AnnotationError, BadRecordError

if TYPE_CHECKING:
    from regioncache.sources.record import AnnotationFile

_T = TypeVar("_T")

NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON or of other types, for text that is no UTF-8, and for a nesting too deep."""


def decode_file(file: AnnotationFile, kind: type[_T], *, what: str, like: str) -> _T:
    """A whole annotation file as records.

    Args:
        file: its name and bytes.
        kind: what it holds.
        what: its format, for the error.
        like: the name of a published file of that format.

    Raises:
        AnnotationError: it is something else.
    """
    try:
        return msgspec.json.decode(file.data, type=kind)
    except NOT_DECODED as error:
        raise AnnotationError(
            file.name, f"not {what}: {error}", remedy=f"Compare it with the format of {like}, or fetch it again"
        ) from error


def segmentation_of(text: bytes) -> Any:  # noqa: ANN401  (parsed JSON, judged by whoever takes it)
    """The value of a record's mask, which nobody has decoded yet; None where there is none.

    Args:
        text: its JSON; empty where the record has no mask.

    Raises:
        BadRecordError: ``segmentation_invalid``, it cannot be decoded.
    """
    try:
        return msgspec.json.decode(text) if text else None
    except NOT_DECODED as error:
        raise BadRecordError("segmentation_invalid", f"the segmentation is no JSON that can be read: {error}") from error
