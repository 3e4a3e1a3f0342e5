"""The central directory of a zip: where each member's data lies. Record layouts are from APPNOTE 6.3, section 4.3."""

from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regioncache.archive.member import DEFLATED, FETCH_AGAIN, REPACK, STORED, Member, check_name, check_ratio, refusal
from regioncache.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCAL = struct.Struct("<4s22xHH")
_CENTRAL = struct.Struct("<4sxB2xHH4xLLLHHH4xLL")
_END = struct.Struct("<4s6xHLLH")
_LOCATOR = struct.Struct("<4s4xQ4x")
_END64 = struct.Struct("<4s28xQQQ")
_EXTRA = struct.Struct("<HH")
_MAX_COMMENT_BYTES = 0xFFFF
_SATURATED = 0xFFFFFFFF
_ZIP64_EXTRA = 0x0001
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_UTF8 = 0x0800
_UNIX = 3


class _Directory(NamedTuple):
    """The central directory's place in the zip."""

    start: int
    end: int
    entries: int


def zip_members(path: Path, window: memoryview, base: int) -> Iterator[Member]:
    """The regular files of the zip whose bytes are ``window``, which starts at ``base`` of the file ``path``.

    Raises:
        ArchiveError: the zip is damaged or truncated, or a member must not be read.
    """
    directory = _central_directory(path, window)
    spans: list[tuple[int, int]] = []
    at = directory.start
    while at < directory.end:
        if at + _CENTRAL.size > directory.end or window[at : at + 4].tobytes() != b"PK\x01\x02":
            problem = f"the central directory is damaged at its entry {len(spans)}"
            raise ArchiveError(path, problem, remedy=FETCH_AGAIN)
        fields = _CENTRAL.unpack_from(window, at)
        system, flags, method, crc32, compressed, size, name_bytes, extra_bytes, comment_bytes, mode, header = fields[1:]
        name_at = at + _CENTRAL.size
        raw_name = window[name_at : name_at + name_bytes].tobytes()
        name = _decoded(path, raw_name, "utf-8" if flags & _UTF8 else "cp437")
        check_name(path, name)
        if _SATURATED in (size, compressed, header):
            extra = window[name_at + name_bytes : name_at + name_bytes + extra_bytes]
            size, compressed, header = _zip64_values(path, name, extra, (size, compressed, header))
        data = _data_offset(path, window, header, raw_name, name)
        if data + compressed > directory.start:
            raise refusal(path, name, "runs into the central directory", remedy=FETCH_AGAIN)
        spans.append((header, data + compressed))
        at = name_at + name_bytes + extra_bytes + comment_bytes
        kind = stat.S_IFMT(mode >> 16) if system == _UNIX else 0
        if name.endswith("/") or kind not in (0, stat.S_IFREG):
            continue
        if flags & _ENCRYPTED:
            raise refusal(path, name, "is encrypted", remedy="Decrypt the archive and pack it without a password")
        if method not in (STORED, DEFLATED):
            remedy = "Pack the archive again, stored or deflated"
            problem = "is compressed by an unknown method"
            raise refusal(path, name, problem, expected="0 or 8", found=method, remedy=remedy)
        member = Member(name, base + data, compressed, size, method, crc32)
        check_ratio(path, member)
        yield member
    low_bits = 0xFFFF  # all that a writer without zip64 can state
    if at != directory.end or len(spans) & low_bits != directory.entries & low_bits:
        problem = "the central directory is damaged: it holds another number of entries than it states"
        raise ArchiveError(path, problem, expected=directory.entries, found=len(spans), remedy=FETCH_AGAIN)
    _check_overlaps(path, spans)


def _central_directory(path: Path, window: memoryview) -> _Directory:
    tail_at = max(0, len(window) - _END.size - _MAX_COMMENT_BYTES)
    tail = window[tail_at:].tobytes()
    at = len(tail) - _END.size
    while at >= 0:
        _, entries, length, start, comment_bytes = _END.unpack_from(tail, at)
        if tail[at : at + 4] == b"PK\x05\x06" and at + _END.size + comment_bytes == len(tail):
            break
        at = tail.rfind(b"PK\x05\x06", 0, at + 3)
    else:
        problem = "truncated: it does not end with the record that closes a zip"
        raise ArchiveError(path, problem, remedy=FETCH_AGAIN)
    end = tail_at + at
    locator_at = end - _LOCATOR.size
    if locator_at >= 0 and window[locator_at : locator_at + 4].tobytes() == b"PK\x06\x07":
        end = _LOCATOR.unpack_from(window, locator_at)[1]
        if end + _END64.size > locator_at or window[end : end + 4].tobytes() != b"PK\x06\x06":
            problem = f"truncated or damaged: no zip64 end record at offset {end}"
            raise ArchiveError(path, problem, remedy=FETCH_AGAIN)
        _, entries, length, start = _END64.unpack_from(window, end)
    if start + length > end:
        problem = "truncated or damaged: the central directory is out of range"
        raise ArchiveError(path, problem, expected=f"<= {end}", found=start + length, remedy=FETCH_AGAIN)
    return _Directory(start, start + length, entries)


def _zip64_values(path: Path, name: str, extra: memoryview, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """Size, compressed size and header offset, of which those too large for 32 bits are in an extra field."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == _ZIP64_EXTRA:
            body = extra[at : at + length].tobytes()
            wide = iter(struct.unpack_from(f"<{len(body) // 8}Q", body))
            size, compressed, header = (next(wide, -1) if value == _SATURATED else value for value in values)
            if -1 not in (size, compressed, header):
                return size, compressed, header
        at += length
    raise refusal(path, name, "lacks the zip64 sizes it announces", remedy=FETCH_AGAIN)


def _data_offset(path: Path, window: memoryview, header: int, raw_name: bytes, name: str) -> int:
    """The data's offset in ``window``. Extra fields differ between the two headers, and the local ones decide."""
    if header + _LOCAL.size > len(window):
        problem = "has its local header beyond the end"
        raise refusal(path, name, problem, expected=f"< {len(window)}", found=header, remedy=FETCH_AGAIN)
    signature, name_bytes, extra_bytes = _LOCAL.unpack_from(window, header)
    if signature != b"PK\x03\x04":
        problem = f"has no local header at offset {header}"
        raise refusal(path, name, problem, expected=b"PK\x03\x04", found=signature, remedy=FETCH_AGAIN)
    name_at = header + _LOCAL.size
    local_name = window[name_at : name_at + name_bytes].tobytes()
    if local_name != raw_name:
        problem = "has another name in its local header"
        raise refusal(path, name, problem, expected=raw_name, found=local_name, remedy=REPACK)
    data: int = name_at + name_bytes + extra_bytes
    return data


def _decoded(path: Path, raw_name: bytes, encoding: str) -> str:
    try:
        return raw_name.decode(encoding)
    except UnicodeDecodeError as error:
        raise refusal(path, repr(raw_name), f"has a name that is not {encoding}", remedy=REPACK) from error


def _check_overlaps(path: Path, spans: list[tuple[int, int]]) -> None:
    """Members that share their bytes are how a small zip holds petabytes (Fifield, A better zip bomb, WOOT 2019)."""
    span = np.array(sorted(spans), dtype=np.int64).reshape(-1, 2)
    overlapping = np.flatnonzero(span[1:, 0] < span[:-1, 1])
    if overlapping.size:
        problem = f"the member at offset {span[overlapping[0] + 1, 0]} lies inside the one before it"
        raise ArchiveError(path, problem, remedy=REPACK)
