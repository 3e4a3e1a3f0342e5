"""What is taken for an archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING, Literal

import pytest

from regioncache.catalog import Archive
from regioncache.errors import ArchiveError
from regioncache.fetch import verify

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["zip", "tar", "gzip", "file"]


def make(kind: Kind) -> bytes:
    """A small file of each kind, written by the standard library."""
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.txt", b"text")
    elif kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    elif kind == "gzip":
        return gzip.compress(b"text", mtime=0)
    else:
        return b'{"images": []}'
    return buffer.getvalue()


def archive_of(kind: Kind, size: int | None = None, sha256: str | None = None) -> Archive:
    return Archive(path="a", kind=kind, bytes=size, sha256=sha256, local="a")


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip", "file"])
def test_a_sound_file_of_each_kind_gives_its_sha256(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a"
    path.write_bytes(make(kind))
    assert verify.verify_whole(path, archive_of(kind)) == hashlib.sha256(make(kind)).hexdigest()


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip"])
def test_a_file_of_another_kind_is_refused_by_its_first_bytes(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a"
    path.write_bytes(make("file"))
    with pytest.raises(ArchiveError, match=f"this is no {kind} archive") as caught:
        verify.verify_whole(path, archive_of(kind))
    assert caught.value.path == str(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip", "file"])
@pytest.mark.parametrize(
    ("page", "quoted"),
    [
        (b"\n <!doctype HTML>\n<title>\n Sign in </title>", "Sign in"),
        (b"\xef\xbb\xbf<html>", "<html>"),
        (b"<!-- x -->\n<HTML><body>Hello", "<!-- x -->"),
    ],
)
def test_a_web_page_is_refused_for_every_kind_and_quoted(tmp_path: Path, kind: Kind, page: bytes, quoted: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(page)
    with pytest.raises(ArchiveError, match="this is a web page") as caught:
        verify.verify_whole(path, archive_of(kind))
    assert quoted in str(caught.value.found)


def test_size_and_sha256_are_named_as_expected_and_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(make("file"))
    with pytest.raises(ArchiveError, match=r"too long \(expected 13 bytes, found 14 bytes\)"):
        verify.verify_whole(path, archive_of("file", size=13))
    with pytest.raises(ArchiveError, match=r"cut short \(expected 15 bytes, found 14 bytes\)"):
        verify.verify_whole(path, archive_of("file", size=15))
    with pytest.raises(ArchiveError, match=f"expected sha256 {'0' * 64}, found {hashlib.sha256(make('file')).hexdigest()}"):
        verify.verify_whole(path, archive_of("file", sha256="0" * 64))
    with pytest.raises(ArchiveError, match=r"cut short \(expected some bytes, found 0 bytes\)"):
        verify.verify_whole(tmp_path / "missing", archive_of("file"))


def test_a_beginning_is_not_an_error_while_more_may_come(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(make("zip")[:60])
    assert verify.judge(path, archive_of("zip", size=len(make("zip"))), finished=True) is None
    assert verify.judge(path, archive_of("zip"), finished=False) is None
    with pytest.raises(ArchiveError, match="the zip is cut short"):
        verify.judge(path, archive_of("zip"), finished=True)
