"""The data of a member: a slice of the mapped archive, inflated where it must be, and always checked."""

from __future__ import annotations

import contextlib
import mmap
import zlib
from typing import TYPE_CHECKING, Self

from regioncache.archive.member import FETCH_AGAIN, REPACK, STORED, Member, refusal
from regioncache.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK_BYTES = 1 << 20


class OpenArchive:
    """An archive file, mapped read-only between ``__enter__`` and ``__exit__``.

    Attributes:
        path: the archive.
        buffer: memoryview of the whole file, for ``read_member`` without a copy; empty while the archive is not open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.buffer = memoryview(b"")
        self._map: mmap.mmap | None = None

    def __enter__(self) -> Self:
        """Map the file.

        Raises:
            ArchiveError: the file does not exist, is no regular file, or is empty.
        """
        if not self.path.is_file():
            raise ArchiveError(self.path, "there is no such archive", remedy="Fetch it, or correct its path")
        with self.path.open("rb") as handle:
            try:
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise ArchiveError(self.path, "the archive is empty", remedy=FETCH_AGAIN) from error
        self.buffer = memoryview(self._map)
        return self

    def __exit__(self, *_: object) -> None:
        self.buffer.release()
        self.buffer = memoryview(b"")
        if self._map is not None:
            # A view that is still held keeps the map until it is dropped.
            with contextlib.suppress(BufferError):
                self._map.close()
            self._map = None

    def advise_random(self) -> None:
        """Tell the kernel that reads will be scattered, so that it does not read ahead."""
        if self._map is not None and hasattr(mmap, "MADV_RANDOM"):
            self._map.madvise(mmap.MADV_RANDOM)

    def read(self, member: Member) -> bytes:
        """The member's decompressed data, checked.

        Raises:
            ArchiveError: as ``read_member``.
        """
        return bytes(read_member(self.buffer, member, archive=self.path))


def read_member(buffer: memoryview | mmap.mmap, member: Member, *, archive: Path) -> bytes | memoryview:
    """One member's data, decompressed and checked.

    Args:
        buffer: the whole outermost archive file.
        member: what to read.
        archive: the file's path, for errors.

    Returns:
        For a stored member a view into ``buffer``; for a deflated one its own bytes, or a read-only view of them.

    Raises:
        ArchiveError: the data lie outside the file, do not inflate to the declared size, or have another CRC32.
    """
    data = member_data(buffer, member, archive)
    if member.method == STORED:
        if member.crc32 is not None:
            _check_crc32(zlib.crc32(data), member, archive)
        return data
    pieces = inflated(data, member, archive)
    first = next(pieces, b"")
    if len(first) == member.size_bytes:
        for _ in pieces:  # there are no more, but the checks stand at the generator's end
            pass
        return first
    whole = bytearray(member.size_bytes)  # filled in place: joining the pieces would take twice the memory
    whole[: len(first)] = first
    position = len(first)
    for piece in pieces:
        whole[position : position + len(piece)] = piece
        position += len(piece)
    return memoryview(whole).toreadonly()


def member_data(buffer: memoryview | mmap.mmap, member: Member, archive: Path) -> memoryview:
    """The member's bytes as they lie in ``buffer``, compressed or not.

    Raises:
        ArchiveError: they lie beyond the end of the file.
    """
    end = member.offset + member.compressed_bytes
    if end > len(buffer):
        problem = "lies beyond the end of the file"
        raise refusal(archive, member.name, problem, expected=f"{end} bytes", found=len(buffer), remedy=FETCH_AGAIN)
    return memoryview(buffer)[member.offset : end]


def inflated(data: memoryview, member: Member, archive: Path) -> Iterator[bytes]:
    """Inflate ``data`` piece by piece: at most 1 MiB each, and never more than the declared size in all.

    Raises:
        ArchiveError: at the step where the data turn out to be damaged, longer or shorter than declared, or, at the
            last, of another CRC32.
    """
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    left, crc32, position, unused = member.size_bytes, 0, 0, b""
    while not inflate.eof:
        # Fed block by block, because zlib copies whatever part of its input it has not used yet.
        block = unused or data[position : position + _BLOCK_BYTES]
        position += 0 if unused else len(block)
        try:
            # One byte more than is left: a stream longer than declared shows itself so, and goes no further.
            piece = inflate.decompress(block, min(left + 1, _BLOCK_BYTES))
        except zlib.error as error:
            raise refusal(archive, member.name, f"cannot be inflated: {error}", remedy=FETCH_AGAIN) from error
        unused = inflate.unconsumed_tail
        if len(piece) > left:
            expected, found = f"{member.size_bytes} bytes", "more"
            raise refusal(archive, member.name, "is longer than declared", expected=expected, found=found, remedy=REPACK)
        left -= len(piece)
        crc32 = zlib.crc32(piece, crc32)
        if piece:
            yield piece
        elif not unused and position == len(data):
            break
    if left or not inflate.eof:
        expected, found = f"{member.size_bytes} bytes", f"{member.size_bytes - left}, then no end"
        raise refusal(archive, member.name, "is cut short", expected=expected, found=found, remedy=FETCH_AGAIN)
    _check_crc32(crc32, member, archive)


def _check_crc32(crc32: int, member: Member, archive: Path) -> None:
    if crc32 != member.crc32:
        expected, found = f"{member.crc32:08x}", f"{crc32:08x}"
        raise refusal(archive, member.name, "has another CRC32", expected=expected, found=found, remedy=FETCH_AGAIN)
