"""What an archive holds, by name; and the archive inside an archive."""

from __future__ import annotations

import fcntl
import gzip
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from regioncache.archive.member import FETCH_AGAIN, MAX_RATIO, REPACK, SMALL_BYTES, STORED, Member, refusal
from regioncache.archive.reading import OpenArchive, inflated, member_data
from regioncache.archive.tar import tar_members
from regioncache.archive.zip import zip_members
from regioncache.atomic import atomic_path
from regioncache.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_COMPRESSED_MAGICS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
_COPY_BYTES = 1 << 20
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257


def list_members(path: Path, *, within: Member | None = None) -> dict[str, Member]:
    """The regular files of a zip or tar, in the archive's order; folders, links and devices are left out.

    Args:
        path: the outermost archive file.
        within: the stored member of ``path`` that is the archive to list; None lists ``path`` itself.

    Returns:
        Members by name, with offsets from the start of ``path``.

    Raises:
        ArchiveError: neither zip nor plain tar, truncated, or with a member that must not be read: encrypted,
            compressed by another method than deflate, with an absolute, climbing or repeated name, overlapping another,
            or a bomb.
    """
    with OpenArchive(path) as archive:
        start, end = 0, len(archive.buffer)
        if within is not None:
            if within.method != STORED:
                problem = "is compressed, so that its members have no offsets"
                raise refusal(path, within.name, problem, remedy="Use nested_archive to inflate it first")
            start, end = within.offset, within.offset + len(member_data(archive.buffer, within, path))
        with archive.buffer[start:end] as window:
            magic = window[: _TAR_MAGIC_AT + len(_TAR_MAGIC)].tobytes()
            archive.advise_random()
            if magic.startswith(_ZIP_MAGICS):
                found = zip_members(path, window, start)
            elif magic[_TAR_MAGIC_AT:] == _TAR_MAGIC:
                found = tar_members(path, start, end)
            else:
                raise _not_an_archive(path, within, magic)
            members: dict[str, Member] = {}
            for member in found:
                if members.setdefault(member.name, member) is not member:
                    raise refusal(path, member.name, "appears twice", remedy=REPACK)
            return members


def nested_archive(path: Path, member: Member, spool_folder: Path) -> tuple[Path, Member | None]:
    """Where an archive inside an archive can be read in place.

    Args:
        path: the outer archive.
        member: the inner archive.
        spool_folder: where a deflated inner archive is inflated to, once, whichever process comes first. The file is
            named by its content, and a lock beside it keeps a second process waiting.

    Returns:
        The arguments of ``list_members``: ``(path, member)`` for a stored inner archive, else the inflated file and
        None.

    Raises:
        ArchiveError: the inner archive's data are not what the outer archive declares.
        DiskFullError: there is no room in ``spool_folder``.
    """
    if member.method == STORED:
        return path, member
    name = PurePosixPath(member.name)
    spooled = spool_folder / f"{path.stem}-{name.stem}-{member.crc32:08x}-{member.size_bytes}{name.suffix}"
    spool_folder.mkdir(parents=True, exist_ok=True)
    with spooled.with_name(f"{spooled.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (spooled.is_file() and spooled.stat().st_size == member.size_bytes):
            with OpenArchive(path) as archive, atomic_path(spooled) as temporary, temporary.open("wb") as handle:
                for piece in inflated(member_data(archive.buffer, member, path), member, path):
                    handle.write(piece)
    return spooled, None


def inflated_file(path: Path, spool_folder: Path, *, content: str) -> Path:
    """What a gzip file holds, inflated once, whichever process comes first; members of a compressed tar have no offsets.

    Args:
        path: the gzip file.
        spool_folder: where the inflated file goes, named by ``path`` and ``content``; safe to delete when nothing runs.
        content: the checksum of ``path``, so that another file of the same name is inflated anew.

    Raises:
        ArchiveError: the data are damaged, cut short, or inflate to more than ``MAX_RATIO`` times their size.
        DiskFullError: there is no room in ``spool_folder``.
    """
    stem = path.name.removesuffix(".gz").removesuffix(".tgz")
    spooled = spool_folder / f"{content[:16]}-{stem}"
    spool_folder.mkdir(parents=True, exist_ok=True)
    with spooled.with_name(f"{spooled.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not spooled.is_file():
            with gzip.open(path) as packed, atomic_path(spooled) as temporary, temporary.open("wb") as handle:
                try:
                    most = max(MAX_RATIO * path.stat().st_size, SMALL_BYTES)
                    while piece := packed.read(_COPY_BYTES):
                        handle.write(piece)
                        if handle.tell() > most:
                            expected = f"at most {most} bytes"
                            problem = "is a likely bomb: it inflates without end"
                            raise ArchiveError(path, problem, expected=expected, found="more", remedy=REPACK)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise ArchiveError(path, f"cannot be inflated: {error}", remedy=FETCH_AGAIN) from error
    return spooled


def _not_an_archive(path: Path, within: Member | None, magic: bytes) -> ArchiveError:
    remedy = FETCH_AGAIN
    if magic.startswith(_COMPRESSED_MAGICS):
        remedy = "It is compressed as a whole: for gzip, say `kind: gzip` in the catalog entry; else decompress it to a plain tar"
    problem = "neither a zip nor a plain tar" + (f": member {within.name!r}" if within is not None else "")
    return ArchiveError(path, problem, expected="PK or ustar", found=magic[:8], remedy=remedy)
