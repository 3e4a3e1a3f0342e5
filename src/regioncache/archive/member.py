"""One member of an archive, and what makes one unfit to be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regioncache.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

STORED, DEFLATED = 0, 8

MAX_RATIO = 250
"""A deflated member may not declare more than this many times its compressed size; annotation files reach about 20."""

SMALL_BYTES = 1 << 20
"""Up to this size a member's ratio is not looked at: a short file of one repeated byte is no bomb."""

FETCH_AGAIN = "Fetch the archive again, or compare its size and checksum with the publisher's"
REPACK = "Leave the archive out, or pack it again from files you trust"

# A surrogate stands for a byte of a tar's name that is no UTF-8: such a name can be written to no table.
_UNSAFE = re.compile(r"^$|^/|^[A-Za-z]:|\\|\x00|(?:^|/)\.\.(?:/|$)|[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Member:
    """Where one member's data lies.

    Attributes:
        name: the member's name, as the archive gives it.
        offset: of the (possibly compressed) data, in bytes from the start of the outermost file.
        compressed_bytes: length of the data in the file.
        size_bytes: length after decompression.
        method: 0 stored, 8 deflated.
        crc32: of the decompressed data; None in a tar, which has none.
    """

    name: str
    offset: int
    compressed_bytes: int
    size_bytes: int
    method: int
    crc32: int | None


def refusal(path: Path, name: str, problem: str, *, expected: object = None, found: object = None, remedy: str) -> ArchiveError:
    """The error for the member ``name`` of the archive ``path``, which ``problem``, a clause with a verb, describes."""
    return ArchiveError(path, f"member {name!r} {problem}", expected=expected, found=found, remedy=remedy)


def check_name(path: Path, name: str) -> None:
    """Refuse a name that would leave its folder on some system, should anyone unpack it.

    Raises:
        ArchiveError: the name is empty or absolute, climbs, has a drive letter, a backslash or a null byte, or is no UTF-8.
    """
    if _UNSAFE.search(name):
        raise refusal(path, name, "has an absolute, climbing or unportable name", remedy=REPACK)


def check_ratio(path: Path, member: Member) -> None:
    """Refuse a member that declares far more data than it holds.

    Raises:
        ArchiveError: a stored member of two sizes, or a deflated one above ``MAX_RATIO``.
    """
    size, compressed = member.size_bytes, member.compressed_bytes
    if member.method == STORED and size != compressed:
        problem = "is stored, but declares two sizes"
        raise refusal(path, member.name, problem, expected=compressed, found=size, remedy=FETCH_AGAIN)
    if size > SMALL_BYTES and size > MAX_RATIO * compressed:
        expected = f"at most {MAX_RATIO} x {compressed} bytes"
        raise refusal(path, member.name, "is a likely zip bomb", expected=expected, found=size, remedy=REPACK)
