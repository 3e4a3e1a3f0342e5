"""Archives made to harm: what a reader meets first when somebody packs one on purpose."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from hostile.readers.archives import FILES, tar_of, zip_of
from regioncache.archive import list_members, nested_archive
from regioncache.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("/etc/passwd", "../up", "a/../../up", "..", "a/..", "C:/windows", "c:x", "a\\b", "..\\up", "\\\\host\\share")


def tar_with(folder: Path, info: tarfile.TarInfo, form: int) -> Path:
    path = folder / "a.tar"
    with tarfile.open(path, "w", format=form) as archive:
        archive.addfile(tarfile.TarInfo("good"))
        archive.addfile(info)
    return path


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_a_tar_leaves_its_folder(tmp_path: Path, name: str, form: int) -> None:
    with pytest.raises(ArchiveError, match="absolute, climbing or unportable"):
        list_members(tar_with(tmp_path, tarfile.TarInfo(name), form))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_long_name_that_climbs_is_refused_in_the_record_that_holds_it(tmp_path: Path, form: int) -> None:
    with pytest.raises(ArchiveError, match="absolute, climbing or unportable"):
        list_members(tar_with(tmp_path, tarfile.TarInfo("x/" * 80 + "../" * 90 + "etc/passwd"), form))


def test_a_pax_path_counts_and_not_the_harmless_name_before_it(tmp_path: Path) -> None:
    info = tarfile.TarInfo("harmless")
    info.pax_headers = {"path": "../../etc/passwd"}
    with pytest.raises(ArchiveError, match=r"'\.\./\.\./etc/passwd' has an absolute, climbing"):
        list_members(tar_with(tmp_path, info, tarfile.PAX_FORMAT))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "a/../../x"])
def test_a_pax_link_target_outside_is_refused(tmp_path: Path, target: str) -> None:
    info = tarfile.TarInfo("link")
    info.type, info.pax_headers = tarfile.SYMTYPE, {"linkpath": target}
    with pytest.raises(ArchiveError, match="outside the archive"):
        list_members(tar_with(tmp_path, info, tarfile.PAX_FORMAT))


@pytest.mark.parametrize("size", ["-1", "-512", "9" * 30])
def test_a_pax_size_that_no_file_has_is_refused(tmp_path: Path, size: str) -> None:
    info = tarfile.TarInfo("file")
    info.pax_headers = {"size": size}
    with pytest.raises(ArchiveError):
        list_members(tar_with(tmp_path, info, tarfile.PAX_FORMAT))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_devices_pipes_and_folders_are_no_members(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("dev")
    info.type = kind
    assert list(list_members(tar_with(tmp_path, info, tarfile.PAX_FORMAT))) == ["good"]


def test_names_of_a_tar_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    data = tar_of({"name-é.txt": b"x"}, tarfile.GNU_FORMAT).replace("é".encode(), b"\xff\xfe")
    header = bytearray(data)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header[:512])
    (tmp_path / "a.tar").write_bytes(header)
    with pytest.raises(ArchiveError, match="unportable name"):
        list_members(tmp_path / "a.tar")


def test_names_of_a_zip_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of({"name-é.txt": b"x"}, 0).replace("é".encode(), b"\xff\xfe"))
    with pytest.raises(ArchiveError, match="not utf-8"):
        list_members(tmp_path / "a.zip")


def test_a_null_byte_in_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of({"name.jpg_exe": b"x"}, 0).replace(b".jpg_exe", b".jpg\x00exe"))
    with pytest.raises(ArchiveError, match="unportable name"):
        list_members(tmp_path / "a.zip")


def test_a_bomb_inside_of_a_zip_leaves_nothing_behind(tmp_path: Path) -> None:
    bomb = zip_of({"zeros": bytes(30_000_000)}, zipfile.ZIP_DEFLATED)
    outer = tmp_path / "a.zip"
    outer.write_bytes(zip_of({"inner.zip": bomb}, zipfile.ZIP_DEFLATED))
    where, window = nested_archive(outer, list_members(outer)["inner.zip"], tmp_path / "spool")
    with pytest.raises(ArchiveError, match="likely zip bomb"):
        list_members(where, within=window)
    assert {path.suffix for path in (tmp_path / "spool").iterdir()} == {".zip", ".lock"}


def test_a_stream_that_lies_about_its_size_stops_at_what_it_declared(tmp_path: Path) -> None:
    data = bytearray(zip_of({"zeros.zip": bytes(30_000_000)}, zipfile.ZIP_DEFLATED))
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<L", 1000)
    (tmp_path / "a.zip").write_bytes(data)
    member = list_members(tmp_path / "a.zip")["zeros.zip"]
    with pytest.raises(ArchiveError, match="longer than declared"):
        nested_archive(tmp_path / "a.zip", member, tmp_path / "spool")
    assert [path.suffix for path in (tmp_path / "spool").iterdir()] == [".lock"]


def test_a_directory_that_declares_more_entries_than_it_holds_is_refused(tmp_path: Path) -> None:
    data = bytearray(zip_of(FILES, 0))
    end = data.rindex(b"PK\x05\x06")
    data[end + 8 : end + 12] = b"\xff\xff\xff\xff"
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ArchiveError, match="another number of entries"):
        list_members(tmp_path / "a.zip")


def test_an_archive_that_is_a_folder_or_a_device_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", type(tmp_path)("/dev/null")):
        with pytest.raises(ArchiveError, match="no such archive"):
            list_members(path)


def test_a_tar_of_nothing_but_headers_of_long_names_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33 - 1
    stream.write(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512)
    (tmp_path / "a.tar").write_bytes(stream.getvalue())
    with pytest.raises(ArchiveError):
        list_members(tmp_path / "a.tar")
