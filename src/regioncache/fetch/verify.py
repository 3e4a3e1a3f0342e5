"""Is a file the archive that the catalog means: its size, its sha256, its first bytes.

No download tool notices a wrong body by itself, so every file passes here before anything reads it; ``record`` remembers it.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from typing import TYPE_CHECKING

from regioncache.errors import ArchiveError
from regioncache.hashing import sha256_file

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.catalog import Archive

_HEAD_BYTES = 4096
_MAGIC = {"zip": b"PK\x03\x04", "gzip": b"\x1f\x8b"}
_HTML = re.compile(rb"^(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(rb"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_WEB_PAGE_REMEDY = "The host may want a login, or limit downloads: open the address in a browser, or use another mirror"


def judge(path: Path, archive: Archive, *, finished: bool) -> str | None:
    """The sha256 of a file that is the whole archive, or None for what may be its beginning.

    Args:
        path: the file; may be missing.
        archive: what it should be.
        finished: whether its writer said that it is whole, which decides when the catalog gives no size.

    Raises:
        ArchiveError: it can be neither the archive nor a beginning of it.
    """
    size = path.stat().st_size if path.exists() else 0
    if size == 0:
        return None
    _check_head(path, archive)
    if archive.bytes is None and not finished:
        return None
    if archive.bytes is not None and size != archive.bytes:
        if size < archive.bytes:
            return None
        raise ArchiveError(path, "the file is too long", expected=f"{archive.bytes} bytes", found=f"{size} bytes")
    if archive.kind == "zip" and not zipfile.is_zipfile(path):
        raise ArchiveError(path, "the zip is cut short: its directory, which stands at the end, is missing")
    found = sha256_file(path)
    if archive.sha256 is not None and found != archive.sha256:
        raise ArchiveError(path, "the content is not the expected one", expected=f"sha256 {archive.sha256}", found=found)
    return found


def verify_whole(path: Path, archive: Archive) -> str:
    """The sha256 of a file that must be the whole archive.

    Raises:
        ArchiveError: it is not.
    """
    found = judge(path, archive, finished=True)
    if found is None:
        size = path.stat().st_size if path.exists() else 0
        expected = "some bytes" if archive.bytes is None else f"{archive.bytes} bytes"
        raise ArchiveError(path, "the file is cut short", expected=expected, found=f"{size} bytes")
    return found


def _check_head(path: Path, archive: Archive) -> None:
    """Refuse a file whose first bytes show that it is something else."""
    with path.open("rb") as handle:
        head = handle.read(_HEAD_BYTES)
    if _HTML.match(head):
        title = _TITLE.search(head)
        line = (title[1] if title else head.strip().splitlines()[0])[:200].decode(errors="replace")
        raise ArchiveError(
            path, "this is a web page", expected=f"a {archive.kind} archive", found=f"{line!r}", remedy=_WEB_PAGE_REMEDY
        )
    if archive.kind == "file":
        return
    if not (_is_tar_header(head) if archive.kind in ("tar", "folder") else head.startswith(_MAGIC[archive.kind])):
        raise ArchiveError(path, f"this is no {archive.kind} archive", expected="its signature", found=f"{head[:16]!r}")


def _is_tar_header(head: bytes) -> bool:
    """Whether a file begins with a tar header, by the header's own checksum; old tars have no signature."""
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True
