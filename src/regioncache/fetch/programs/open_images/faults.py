"""What is wrong with a fetched file: by what its server tells of it, or by its own form."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import json
import re
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

IMAGE_ID = re.compile(r"[0-9a-f]{16}")
_TAIL_BYTES = 1 << 16
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


def fault_of_text(path: Path, url: str | None, timeout_s: float) -> str:
    """What is wrong with a text, by its server's checksum and length; without either, by its own form."""
    length, md5 = (None, None) if url is None else _told_of(url, timeout_s)
    if length is not None and path.stat().st_size != length:
        return f"{path.stat().st_size} bytes, expected {length}"
    if md5 is not None:
        found = _md5_of(path)
        return "" if found == md5 else f"its MD5 is {found}, expected {md5}"
    if path.suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            return f"no JSON: {error}"
        return ""
    if length is not None:
        return ""
    with path.open("rb") as handle:
        first = handle.readline()
        handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        last = handle.read().splitlines()[-1:]
    counts = [len(next(csv.reader([one.decode("utf-8", "replace")]), [])) for one in (first, *last)]
    return "" if len(counts) > 1 and counts[0] == counts[1] else "the last line has not the columns of the first"


def _told_of(url: str, timeout_s: float) -> tuple[int | None, str | None]:
    """The length and the MD5 that a server tells of a file, as far as it does."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (one of FiftyOne's own addresses, or of the mirror)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310  (as above)
            headers = answer.headers
    except OSError:
        return None, None
    if headers.get("Content-Encoding"):  # of what is stored, and not of what is sent
        return None, None
    length = headers.get("Content-Length")
    return None if length is None else int(length), _google_md5(",".join(headers.get_all("x-goog-hash", [])))


def _google_md5(hashes: str) -> str | None:
    """The MD5 of ``crc32c=..., md5=<base64>``, as Google's storage tells it of a file that was stored in one piece."""
    for one in hashes.split(","):
        name, _, value = one.strip().partition("=")
        if name == "md5":
            try:
                return base64.b64decode(value, validate=True).hex()
            except binascii.Error:
                return None
    return None


def fault_of_photo(path: Path, md5: str | None) -> str:
    """What is wrong with a photo, by its MD5 where that is known; else by its first and last bytes."""
    if not IMAGE_ID.fullmatch(path.stem) or path.suffix != ".jpg":
        return "a part of a photo"
    if md5 is not None:
        found = _md5_of(path)
        return "" if found == md5 else f"its MD5 is {found}, expected {md5}"
    with path.open("rb") as handle:
        start = handle.read(len(_JPEG_START))
        handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return "" if start == _JPEG_START and _JPEG_END in handle.read()[-1024:] else "not a whole JPEG"


def _md5_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
