"""JSON from strangers: what decoding it may raise, and the values that are decoded one by one."""

from __future__ import annotations

from typing import Any

import msgspec

from regioncache.errors import BadRecordError

NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON or of other types, for text that is no UTF-8, and for a nesting too deep."""


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
