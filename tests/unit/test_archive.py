"""Archives read in place, held against zipfile and tarfile."""

from __future__ import annotations

import io
import multiprocessing
import os
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from regioncache.archive import Member, OpenArchive, list_members, nested_archive, read_member
from regioncache.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

TEXT = b"".join(f"line {i}, of no great interest\n".encode() for i in range(5000))
FILES = {"a/one.txt": TEXT, "a/empty.txt": b"", "b/noise.bin": bytes(range(256)) * 30, "größe/日本.txt": b"names"}


class Pipe(io.RawIOBase):
    """A stream without seek, which makes zipfile write data descriptors."""

    def __init__(self, target: io.BytesIO) -> None:
        self.target = target

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # what zipfile writes is bytes
        return self.target.write(data)


def zip_of(
    files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED, *, extra: bytes = b"", comment: bytes = b""
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.comment = comment
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            info.extra = extra
            archive.writestr(info, data)
    return stream.getvalue()


def written(folder: Path, data: bytes, name: str = "archive.zip") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def contents(path: Path, members: dict[str, Member]) -> dict[str, bytes]:
    with OpenArchive(path) as archive:
        return {name: archive.read(member) for name, member in members.items()}


def patched(data: bytes, signature: bytes, at: int, value: bytes, which: int = 0) -> bytes:
    """``data`` with ``value`` written ``at`` bytes after the ``which``-th ``signature``."""
    start = -1
    for _ in range(which + 1):
        start = data.index(signature, start + 1)
    return data[: start + at] + value + data[start + at + len(value) :]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("extra", [b"", struct.pack("<HH6s", 0xCAFE, 6, b"padded")])
@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_every_member_is_what_zipfile_reads(tmp_path: Path, compression: int, extra: bytes, comment: bytes) -> None:
    path = written(tmp_path, zip_of(FILES, compression, extra=extra, comment=comment))
    members = list_members(path)
    with zipfile.ZipFile(path) as peer:
        infos = {info.filename: info for info in peer.infolist()}
        assert list(members) == list(infos)
        for name, member in members.items():
            info = infos[name]
            assert (member.size_bytes, member.compressed_bytes) == (info.file_size, info.compress_size)
            assert (member.crc32, member.method) == (info.CRC, info.compress_type)
        assert contents(path, members) == {name: peer.read(name) for name in infos}


def test_a_comment_that_looks_like_a_record_is_a_comment(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of(FILES, comment=b"PK\x05\x06 is how the closing record begins"))
    assert contents(path, list_members(path)) == FILES


def test_a_stored_member_lies_at_its_offset_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of(FILES, zipfile.ZIP_STORED))
    data = path.read_bytes()
    for name, member in list_members(path).items():
        assert data[member.offset : member.offset + member.size_bytes] == FILES[name]


def test_local_extra_fields_decide_where_the_data_begin(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("wide.txt", "w", force_zip64=True) as member:
        member.write(TEXT)  # the local header has a zip64 field, the central one has none
    assert contents(path, list_members(path)) == {"wide.txt": TEXT}


def test_members_with_data_descriptors_are_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(Pipe(stream), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    path = written(tmp_path, stream.getvalue())
    assert path.read_bytes()[6] & 0x08  # the flag that says so
    assert contents(path, list_members(path)) == FILES


def test_a_zip64_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    path = written(tmp_path, zip_of(FILES, zipfile.ZIP_STORED))
    data = path.read_bytes()
    assert b"PK\x06\x06" in data
    assert data[data.index(b"PK\x01\x02") + 24 :][:4] == b"\xff" * 4  # the size is in an extra field
    assert contents(path, list_members(path)) == FILES


def test_more_members_than_sixteen_bits_count(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({f"{i:06d}.txt": b"" for i in range(66_000)}, zipfile.ZIP_STORED))
    assert len(list_members(path)) == 66_000


def test_an_empty_zip_has_no_members(tmp_path: Path) -> None:
    assert list_members(written(tmp_path, zip_of({}))) == {}


def test_folders_and_links_of_a_zip_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("folder")
        link = zipfile.ZipInfo("folder/link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "../../etc/passwd")
        archive.writestr("folder/file", b"data")
    assert list(list_members(path)) == ["folder/file"]


def test_a_stored_member_is_a_view_without_a_copy(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"a": TEXT}, zipfile.ZIP_STORED))
    member = list_members(path)["a"]
    data = path.read_bytes()
    view = read_member(memoryview(data), member, archive=path)
    assert isinstance(view, memoryview)
    assert view.obj is data
    assert view == TEXT


@pytest.mark.parametrize("size_bytes", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_500_000])
@pytest.mark.parametrize("compressible", [True, False])
def test_deflated_members_of_every_size_are_read(tmp_path: Path, size_bytes: int, compressible: bool) -> None:
    data = (TEXT * (size_bytes // len(TEXT) + 1) if compressible else os.urandom(size_bytes))[:size_bytes]
    path = written(tmp_path, zip_of({"a": data}))
    assert contents(path, list_members(path)) == {"a": data}


# Zips inside zips


def test_a_stored_inner_zip_is_read_where_it_lies(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"before": TEXT, "inner.zip": zip_of(FILES)}, zipfile.ZIP_STORED))
    where, window = nested_archive(path, list_members(path)["inner.zip"], tmp_path / "spool")
    assert where == path
    assert not (tmp_path / "spool").exists()
    assert contents(where, list_members(where, within=window)) == FILES


def test_a_deflated_inner_zip_is_inflated_once(tmp_path: Path) -> None:
    inner = zip_of(FILES)
    path = written(tmp_path, zip_of({"deep/inner.zip": inner}))
    member = list_members(path)["deep/inner.zip"]
    where, window = nested_archive(path, member, tmp_path / "spool")
    assert window is None
    assert where.read_bytes() == inner
    assert contents(where, list_members(where)) == FILES
    inode = where.stat().st_ino
    assert nested_archive(path, member, tmp_path / "spool") == (where, None)
    assert where.stat().st_ino == inode
    where.write_bytes(b"torn")
    assert nested_archive(path, member, tmp_path / "spool")[0].read_bytes() == inner


def spool(path: Path, member: Member, folder: Path, start: Callable[[], object]) -> None:
    start()
    where, _ = nested_archive(path, member, folder)
    assert len(list_members(where)) == 1


def test_processes_that_inflate_the_same_zip_at_once_agree(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"inner.zip": zip_of({"a": os.urandom(4_000_000)})}))
    member = list_members(path)["inner.zip"]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    workers = [context.Process(target=spool, args=(path, member, tmp_path / "s", barrier.wait)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(file.suffix for file in (tmp_path / "s").iterdir()) == [".lock", ".zip"]


def test_a_broken_inner_zip_leaves_nothing_behind(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"inner.zip": zip_of(FILES)}))
    member = list_members(path)["inner.zip"]
    wrong = Member(member.name, member.offset, member.compressed_bytes, member.size_bytes, 8, 1)
    with pytest.raises(ArchiveError, match=r"inner\.zip.*CRC32"):
        nested_archive(path, wrong, tmp_path / "spool")
    assert [file.suffix for file in (tmp_path / "spool").iterdir()] == [".lock"]


def test_a_deflated_inner_zip_has_no_window(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"inner.zip": zip_of(FILES)}))
    with pytest.raises(ArchiveError, match="nested_archive"):
        list_members(path, within=list_members(path)["inner.zip"])


def test_a_tar_inside_a_zip_is_read_where_it_lies(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"inner.tar": tar_of(FILES.items())}, zipfile.ZIP_STORED))
    assert contents(path, list_members(path, within=list_members(path)["inner.tar"])) == FILES


# What a zip must not hold


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../up", "a/..", "C:/windows", "c:file", "a\\b", "..\\up", "\\\\host\\share"]
)
def test_names_that_leave_their_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="name") as caught:
        list_members(written(tmp_path, zip_of({"good": b"", name: b"x"})))
    assert repr(name) in str(caught.value)
    assert "archive.zip" in str(caught.value)


@pytest.mark.parametrize("name", ["a..b/c..d", "...", "a/b:c", "~tilde", "x/.hidden"])
def test_names_that_only_look_odd_are_read(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, zip_of({name: b"x"}))
    assert contents(path, list_members(path)) == {name: b"x"}


def test_a_name_that_appears_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("same", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("same", b"2")
    with pytest.raises(ArchiveError, match="'same' appears twice"):
        list_members(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    data = patched(zip_of({"secret": TEXT}), b"PK\x01\x02", 8, b"\x01\x00")
    with pytest.raises(ArchiveError, match="'secret' is encrypted"):
        list_members(written(tmp_path, data))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unknown_method_is_refused(tmp_path: Path, compression: int) -> None:
    with pytest.raises(ArchiveError, match="'a' is compressed by an unknown method") as caught:
        list_members(written(tmp_path, zip_of({"a": TEXT}, compression)))
    assert caught.value.found == compression


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="'zeros' is a likely zip bomb"):
        list_members(written(tmp_path, zip_of({"zeros": bytes(20_000_000)})))


def test_a_short_file_of_one_byte_is_no_bomb(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"zeros": bytes(500_000)}))
    assert contents(path, list_members(path)) == {"zeros": bytes(500_000)}


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    inner = zip_of({"kernel": TEXT}, zipfile.ZIP_STORED)
    local = inner[: inner.index(b"PK\x01\x02")]
    data = zip_of({"quoted": local}, zipfile.ZIP_STORED)
    central = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    second = patched(inner[len(local) : inner.index(b"PK\x05\x06")], b"PK\x01\x02", 42, struct.pack("<L", 36))
    directory = data[central:end] + second
    closing = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 2, 2, len(directory), central, 0)
    with pytest.raises(ArchiveError, match="lies inside the one before it"):
        list_members(written(tmp_path, data[:central] + directory + closing))


# Damage


def test_a_zip_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = zip_of(FILES, comment=b"at the end")
    for length in range(4, len(whole), max(1, len(whole) // 200)):
        with pytest.raises(ArchiveError, match=r"truncated|damaged|neither|beyond"):
            list_members(written(tmp_path, whole[:length]))


def test_a_zip_with_its_middle_missing_is_refused(tmp_path: Path) -> None:
    whole = zip_of(FILES)
    with pytest.raises(ArchiveError, match=r"archive\.zip"):
        list_members(written(tmp_path, whole[:100] + whole[200:]))


@pytest.mark.parametrize("seed", range(4))
def test_altered_bytes_give_the_right_data_or_an_archive_error(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    files = {"a/one.txt": TEXT[:600], "größe.txt": b"names"}
    for whole in (zip_of(files), tar_of(files.items())):
        for _ in range(100):
            data = np.frombuffer(whole, np.uint8).copy()
            at = random.integers(4, len(data), 3)
            data[at] = random.integers(0, 256, 3)
            path = written(tmp_path, data.tobytes())
            try:
                found = contents(path, list_members(path))
            except ArchiveError as error:
                assert error.remedy  # noqa: PT017  (either outcome is right, another exception is not)
            else:
                assert path.read_bytes()[257:262] == b"ustar" or set(found.values()) <= set(files.values())


def test_a_local_header_of_another_name_is_refused(tmp_path: Path) -> None:
    data = patched(zip_of({"right": TEXT}), b"PK\x03\x04", 30, b"wrong")
    with pytest.raises(ArchiveError, match="'right' has another name") as caught:
        list_members(written(tmp_path, data))
    assert (caught.value.expected, caught.value.found) == (b"right", b"wrong")


def test_a_missing_local_header_is_refused(tmp_path: Path) -> None:
    data = patched(zip_of({"a": TEXT}), b"PK\x03\x04", 2, b"zz")
    with pytest.raises(ArchiveError, match=r"PK|neither"):
        list_members(written(tmp_path, data))
    data = patched(zip_of({"a": TEXT, "b": TEXT}), b"PK\x03\x04", 2, b"zz", which=1)
    with pytest.raises(ArchiveError, match="'b' has no local header"):
        list_members(written(tmp_path, data))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_altered_data_are_found_by_their_crc32(tmp_path: Path, compression: int) -> None:
    noise = os.urandom(5000)  # deflate keeps it in stored blocks, so that only the CRC32 can tell
    data = bytearray(zip_of({"a": noise}, compression))
    data[data.index(noise[100:150])] ^= 1
    path = written(tmp_path, bytes(data))
    with pytest.raises(ArchiveError, match="'a' has another CRC32") as caught:
        contents(path, list_members(path))
    assert caught.value.expected == f"{zlib.crc32(noise):08x}"
    assert caught.value.path == str(path)


def test_data_that_do_not_inflate_name_their_member(tmp_path: Path) -> None:
    path = written(tmp_path, patched(zip_of({"a": TEXT}), b"PK\x03\x04", 31, b"\xff\xff\xff"))
    with pytest.raises(ArchiveError, match="'a' cannot be inflated"):
        contents(path, list_members(path))


@pytest.mark.parametrize(("declared_bytes", "message"), [(len(TEXT) - 1, "longer than declared"), (len(TEXT) + 1, "cut short")])
def test_a_member_of_another_size_than_declared_is_refused(tmp_path: Path, declared_bytes: int, message: str) -> None:
    data = patched(zip_of({"a": TEXT}), b"PK\x01\x02", 24, struct.pack("<L", declared_bytes))
    path = written(tmp_path, data)
    with pytest.raises(ArchiveError, match=f"'a' is {message}"):
        contents(path, list_members(path))


def test_a_compressed_stream_cut_short_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"a": TEXT}))
    member = list_members(path)["a"]
    half = Member("a", member.offset, member.compressed_bytes // 2, len(TEXT), 8, member.crc32)
    with pytest.raises(ArchiveError, match="'a' is cut short"):
        contents(path, {"a": half})


def test_a_member_beyond_the_end_of_its_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"a": b"x"}))
    with pytest.raises(ArchiveError, match="'a' lies beyond the end"):
        contents(path, {"a": Member("a", 10_000, 5, 5, 0, 0)})


def test_files_that_are_no_archives_are_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"neither a zip nor a plain tar.*Fetch"):
        list_members(written(tmp_path, b"<html>not found</html>"))
    with pytest.raises(ArchiveError, match="empty"):
        list_members(written(tmp_path, b""))
    with pytest.raises(ArchiveError, match="no such archive"):
        list_members(tmp_path / "absent.zip")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    with pytest.raises(ArchiveError, match="decompress it to a plain tar"):
        list_members(written(tmp_path, stream.getvalue()))


# Tar


def tar_of(files: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def tar_with(info: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(info)
        archive.addfile(tarfile.TarInfo("regular"))
    return stream.getvalue()


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_member_of_a_tar_is_what_tarfile_reads(tmp_path: Path, form: int) -> None:
    files = {**FILES, "long/" + "x" * 90 + "/" + "y" * 90: b"long name"}
    path = written(tmp_path, tar_of(files.items(), form), "archive.tar")
    members = list_members(path)
    with tarfile.open(path) as peer:
        expected = {info.name: (info.offset_data, info.size) for info in peer}
    assert {name: (member.offset, member.size_bytes) for name, member in members.items()} == expected
    assert {member.crc32 for member in members.values()} == {None}
    assert contents(path, members) == files


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "a\\b"])
def test_climbing_names_in_a_tar_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="name"):
        list_members(written(tmp_path, tar_of([(name, b"x")]), "archive.tar"))


@pytest.mark.parametrize(
    ("name", "target", "kind"),
    [
        ("a/link", "../../up", tarfile.SYMTYPE),
        ("link", "/etc/passwd", tarfile.SYMTYPE),
        ("a/link", "../up", tarfile.LNKTYPE),
    ],
)
def test_links_out_of_a_tar_are_refused(tmp_path: Path, name: str, target: str, kind: bytes) -> None:
    with pytest.raises(ArchiveError, match=f"{name}.*outside the archive"):
        list_members(written(tmp_path, tar_with(link(name, target, kind)), "archive.tar"))


@pytest.mark.parametrize(
    ("target", "kind"),
    [("../b", tarfile.SYMTYPE), ("b", tarfile.LNKTYPE), ("", tarfile.CHRTYPE), ("", tarfile.FIFOTYPE)],
)
def test_links_and_devices_inside_a_tar_are_left_out(tmp_path: Path, target: str, kind: bytes) -> None:
    path = written(tmp_path, tar_with(link("a/odd", target, kind)), "archive.tar")
    assert list(list_members(path)) == ["regular"]


def test_a_name_twice_in_a_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="'a' appears twice"):
        list_members(written(tmp_path, tar_of([("a", b"1"), ("a", b"2")]), "archive.tar"))


def test_a_tar_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = tar_of([("a", TEXT), ("b", b"b" * 700)])
    zeros = len(whole) - len(whole.rstrip(b"\0"))
    end_of_data = len(whole) - zeros
    for length in range(512, end_of_data, 512):
        with pytest.raises(ArchiveError, match=r"truncated|beyond"):
            list_members(written(tmp_path, whole[:length], "archive.tar"))


def test_a_tar_with_a_damaged_header_is_refused(tmp_path: Path) -> None:
    whole = bytearray(tar_of([("a", b"1"), ("b", b"2")]))
    whole[1024 + 3] ^= 0xFF
    with pytest.raises(ArchiveError, match="damaged"):
        list_members(written(tmp_path, bytes(whole), "archive.tar"))


# The open archive


def test_a_view_outlives_the_archive_it_came_from(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"a": TEXT}, zipfile.ZIP_STORED))
    member = list_members(path)["a"]
    with OpenArchive(path) as archive:
        view = read_member(archive.buffer, member, archive=path)
    assert view == TEXT
    assert len(archive.buffer) == 0
