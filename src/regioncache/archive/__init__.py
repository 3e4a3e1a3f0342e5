"""Members of zip and tar archives, read where they lie: nothing is ever unpacked.

A zip's central directory and a tar's headers are read once and become offsets into the archive file; from then on a
member is a slice of the mapped file. The formats are those of PKWARE's APPNOTE 6.3 (zip, zip64) and POSIX.1-2001 (tar).
"""

from __future__ import annotations

from regioncache.archive.listing import inflated_file, list_members, nested_archive
from regioncache.archive.member import DEFLATED, MAX_RATIO, STORED, Member
from regioncache.archive.reading import OpenArchive, read_member

__all__ = [
    "DEFLATED",
    "MAX_RATIO",
    "STORED",
    "Member",
    "OpenArchive",
    "inflated_file",
    "list_members",
    "nested_archive",
    "read_member",
]
