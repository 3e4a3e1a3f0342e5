"""The headers of a plain tar: where each member's data lies."""

from __future__ import annotations

import posixpath
import tarfile
from typing import TYPE_CHECKING

from regioncache.archive.member import FETCH_AGAIN, REPACK, STORED, Member, check_name, refusal
from regioncache.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ZEROS = bytes(tarfile.BLOCKSIZE)


def tar_members(path: Path, start: int, end: int) -> Iterator[Member]:
    """The regular files of the tar that lies at ``[start, end)`` of the file ``path``: ustar, GNU or pax.

    Raises:
        ArchiveError: the tar is damaged or truncated, a member is sparse, or a name or a link's target climbs.
    """
    try:
        with path.open("rb") as handle:
            handle.seek(start)
            with tarfile.open(fileobj=handle, mode="r:") as tar:
                while (info := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # not in the stubs; it would hold every header
                    check_name(path, info.name)
                    if info.issym() or info.islnk():
                        _check_link(path, info)
                    if info.isreg():
                        yield _member(path, info, end)
                # tarfile takes a damaged header for the end; at the true end stands a block of zeros.
                handle.seek(tar.offset)
                if tar.offset >= end or handle.read(len(_ZEROS)) != _ZEROS:
                    problem = f"damaged or truncated: neither a header nor the end of the tar at offset {tar.offset}"
                    raise ArchiveError(path, problem, remedy=FETCH_AGAIN)
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveError(path, f"damaged or truncated: {error}", remedy=FETCH_AGAIN) from error


def _member(path: Path, info: tarfile.TarInfo, end: int) -> Member:
    if info.issparse():
        raise refusal(path, info.name, "is sparse", remedy="Pack the archive again without sparse files")
    if info.size < 0:  # as a pax header can say
        raise refusal(path, info.name, "has a negative size", expected=">= 0", found=info.size, remedy=REPACK)
    data_end = info.offset_data + info.size
    if data_end > end:
        problem = "lies beyond the end of the tar"
        raise refusal(path, info.name, problem, expected=f"<= {end}", found=data_end, remedy=FETCH_AGAIN)
    return Member(info.name, info.offset_data, info.size, info.size, STORED, None)


def _check_link(path: Path, info: tarfile.TarInfo) -> None:
    folder = posixpath.dirname(info.name) if info.issym() else ""  # a hard link's target counts from the tar's root
    target = posixpath.normpath(posixpath.join(folder, info.linkname))
    if target.startswith("/") or target.split("/", 1)[0] == "..":
        raise refusal(path, info.name, f"links to {info.linkname!r}, outside the archive", remedy=REPACK)
