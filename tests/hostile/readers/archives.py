"""Zip, tar and gzip."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import warnings
import zipfile
from typing import TYPE_CHECKING

from hostile.mutation import EDGES, damaged, resealed_tar
from regioncache.archive import OpenArchive, inflated_file, list_members, nested_archive
from regioncache.catalog import Archive
from regioncache.errors import ArchiveError
from regioncache.fetch.verify import verify_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from regioncache.catalog import ArchiveKind

FILES = {"a/one.txt": b"line of text\n" * 30, "a/empty": b"", "größe.bin": bytes(range(256)), "b/deep/er.json": b'{"a": [1, 2]}'}
_UNSAFE = re.compile(r"^$|^/|^[A-Za-z]:|\\|\x00|(?:^|/)\.\.(?:/|$)")


def zip_of(files: dict[str, bytes], method: int, *, zip64: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.comment = b"end"
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=zip64) as member:
                member.write(data)
    return stream.getvalue()


def tar_of(files: dict[str, bytes], form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, pax_headers={"comment": "x"}) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind, target in (
            ("link", tarfile.SYMTYPE, "a/one.txt"),
            ("hard", tarfile.LNKTYPE, "a/one.txt"),
            ("d", tarfile.DIRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return stream.getvalue()


def _read_all(path: Path, spool: Path) -> None:
    """Every member, and the archives inside; names must be safe and data of the declared size."""
    members = list_members(path)
    with OpenArchive(path) as archive:
        for name, member in members.items():
            assert not _UNSAFE.search(name), name
            assert name.encode() is not None
            try:
                assert len(archive.read(member)) == member.size_bytes
                if name.endswith(".zip"):
                    inner, window = nested_archive(path, member, spool)
                    list_members(inner, within=window)
            except ArchiveError:
                continue
            finally:
                for left in spool.glob("*"):
                    assert ".tmp" not in left.name, left
                    left.unlink()


def zips(folder: Path) -> Callable[[Random], None]:
    """Damaged zips, stored and deflated, with and without zip64, with a zip inside."""
    inner = zip_of(FILES, zipfile.ZIP_DEFLATED)
    valid = [zip_of(FILES, method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    valid += [zip_of({**FILES, "in.zip": inner}, method, zip64=True) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    path, spool = folder / "a.zip", folder / "spool"
    spool.mkdir()

    def attempt(random: Random) -> None:
        data = damaged(random.choice(valid), random, valid)
        if random.random() < 0.5:
            data = _with_fields(data, random)
        path.write_bytes(data)
        _read_all(path, spool)

    return attempt


def _with_fields(data: bytes, random: Random) -> bytes:
    """Other numbers in the fixed fields of a local header, a central one or an end record."""
    value = bytearray(data)
    signature, size = random.choice(
        ((b"PK\x03\x04", 30), (b"PK\x01\x02", 46), (b"PK\x05\x06", 22), (b"PK\x06\x06", 56), (b"PK\x06\x07", 20))
    )
    places = [found.start() for found in re.finditer(re.escape(signature), data)]
    if places:
        at, width = random.choice(places) + random.randrange(4, size - 1), random.choice((2, 4, 8))
        value[at : at + width] = (random.choice(EDGES) % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(value)


def tars(folder: Path) -> Callable[[Random], None]:
    """Damaged ustar, GNU and pax tars; half of them with header checksums put right again."""
    long = {**FILES, "n" * 150 + "/é.txt": b"long name"}
    valid = [tar_of(FILES, tarfile.USTAR_FORMAT), tar_of(long, tarfile.GNU_FORMAT), tar_of(long, tarfile.PAX_FORMAT)]
    headers = [data[: len(data) - 9000] for data in valid]  # without most of the zeros at the end
    path, spool = folder / "a.tar", folder / "spool"
    spool.mkdir()

    def attempt(random: Random) -> None:
        data = damaged(random.choice(headers if random.random() < 0.3 else valid), random, headers)
        if random.random() < 0.7:
            data = resealed_tar(data)
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _read_all(path, spool)

    return attempt


def gzips(folder: Path) -> Callable[[Random], None]:
    """Damaged gzip files."""
    valid = [gzip.compress(b"".join(FILES.values()), 6, mtime=0), gzip.compress(bytes(5000), 1, mtime=0) * 2]
    path, spool = folder / "a.gz", folder / "spool"

    def attempt(random: Random) -> None:
        path.write_bytes(damaged(random.choice(valid), random, valid))
        try:
            assert inflated_file(path, spool, content="0" * 64).is_file()
        finally:
            for left in spool.glob("*"):
                assert ".tmp" not in left.name, left
                left.unlink()

    return attempt


def whole_files(folder: Path) -> Callable[[Random], None]:
    """Damaged files of every kind, and web pages, before a download is taken for an archive of that kind."""
    valid: dict[ArchiveKind, bytes] = {
        "zip": zip_of(FILES, zipfile.ZIP_DEFLATED),
        "tar": tar_of(FILES, tarfile.GNU_FORMAT),
        "gzip": gzip.compress(b"".join(FILES.values()), 6, mtime=0),
        "file": b"<!-- a page --> <html><head><title>Quota</title></head><body>Later.</body></html>",
    }
    path = folder / "a"

    def attempt(random: Random) -> None:
        kind = random.choice(list(valid))
        data = damaged(random.choice((valid[kind], *valid.values())), random, list(valid.values()))
        path.write_bytes(data)
        size = random.choice((None, None, len(data), len(data) + 1))
        found = verify_whole(path, Archive(path="a", kind=kind, bytes=size, local="a"))
        assert found == hashlib.sha256(data).hexdigest()

    return attempt
