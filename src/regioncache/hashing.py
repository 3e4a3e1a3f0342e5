"""Content keys and checksums. Nothing is pickled: a key is the hash of canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def content_key(step: str, version: int, **parts: Any) -> str:  # noqa: ANN401  (any JSON value)
    """The key of one step's output: 64 hexadecimal digits of its name, version, options and input hashes.

    Args:
        step: the step's name, such as ``convert``.
        version: raised whenever the step's code changes what it writes.
        parts: JSON values that decide the output's bytes.
    """
    text = json.dumps({"step": step, "version": version, **parts}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
