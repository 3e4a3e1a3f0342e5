"""A local folder becomes one plain tar, the same for the same files, and again when a file changed."""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from regioncache.archive import OpenArchive, list_members
from regioncache.catalog import Archive
from regioncache.errors import ArchiveError, FetchError
from regioncache.fetch.archive import fetch_archive
from regioncache.hashing import sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {
    "b.jpg": b"b",
    "a.jpg": b"a" * 3000,
    "sub folder/z.jpg": b"",
    "sub folder/caf\u00e9 \u732b.jpg": b"cat",
    f"{'d' * 90}/{'e' * 200}.jpg": b"long",
    "Z.jpg": b"Z",
}


def fill(folder: Path, names: list[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[name])
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", list(FILES))


def fetch(folder: Path | str, destination: Path) -> list[str]:
    """Fetch a folder; what was logged."""
    lines: list[str] = []
    archive = Archive(path=destination.name, kind="folder", local=str(folder))
    assert fetch_archive(archive, destination, offline=True, log=lines.append) == destination
    return lines


def contents(path: Path) -> dict[str, bytes]:
    with OpenArchive(path) as archive:
        return {name: archive.read(member) for name, member in list_members(path).items()}


def test_the_tar_holds_every_file_by_its_name_below_the_folder(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "other.jpg").write_bytes(b"linked")
    (photos / "link.jpg").symlink_to(tmp_path / "other.jpg")
    (photos / "empty folder").mkdir()
    tar = tmp_path / "archives" / "mine" / "photos.tar"
    assert fetch(photos, tar) == [f"photos.tar: packing 7 files of {photos}"]
    expected = FILES | {"link.jpg": b"linked"}
    assert contents(tar) == expected
    with tarfile.open(tar) as theirs:
        members = theirs.getmembers()
        assert {one.name: theirs.extractfile(one).read() for one in members} == expected  # type: ignore[union-attr]  # files alone
        assert {(one.type, one.uid, one.gid, one.uname, one.gname, one.mtime) for one in members} == {
            (tarfile.REGTYPE, 0, 0, "", "", 0)
        }


def test_the_same_files_give_the_same_bytes_whoever_wrote_them_when_in_which_order(photos: Path, tmp_path: Path) -> None:
    fetch(photos, tmp_path / "one.tar")
    again = fill(tmp_path / "elsewhere", list(reversed(FILES)))
    for k, path in enumerate(again.rglob("*")):
        path.chmod(0o700)
        os.utime(path, (k * 1000, k * 1000))
    fetch(again, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_nothing_is_packed_again_while_no_file_changed(photos: Path, tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    fetch(photos, tar)
    before = tar.stat()
    assert fetch(photos, tar) == []
    assert (tar.stat().st_ino, tar.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def rename(photos: Path) -> None:
    (photos / "a.jpg").rename(photos / "c.jpg")


def remove(photos: Path) -> None:
    (photos / "sub folder" / "z.jpg").unlink()


def add(photos: Path) -> None:
    (photos / "sub folder" / "new.jpg").write_bytes(b"new")


def rewrite(photos: Path) -> None:
    path = photos / "b.jpg"
    state = path.stat()
    path.write_bytes(b"B")  # of the same size
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [rename, remove, add, rewrite])
def test_a_changed_folder_is_packed_anew(photos: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    tar = tmp_path / "photos.tar"
    fetch(photos, tar)
    before = sha256_file(tar)
    change(photos)
    assert len(fetch(photos, tar)) == 1
    assert sha256_file(tar) != before
    expected = {path.relative_to(photos).as_posix(): path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    assert contents(tar) == expected
    assert fetch(photos, tar) == []


def test_a_touched_file_is_packed_anew_to_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    fetch(photos, tar)
    before = tar.read_bytes()
    os.utime(photos / "b.jpg", (1, 1))
    assert len(fetch(photos, tar)) == 1
    assert tar.read_bytes() == before


@pytest.mark.parametrize("damage", ["gone", "other"])
def test_a_tar_that_was_removed_or_changed_is_packed_anew(photos: Path, tmp_path: Path, damage: str) -> None:
    tar = tmp_path / "photos.tar"
    fetch(photos, tar)
    before = tar.read_bytes()
    if damage == "gone":
        tar.unlink()
    else:
        tar.write_bytes(before[:-1024])
    assert len(fetch(photos, tar)) == 1
    assert tar.read_bytes() == before


def test_another_folder_under_the_same_name_is_packed_anew(photos: Path, tmp_path: Path) -> None:
    fetch(photos, tmp_path / "photos.tar")
    shutil.copytree(fill(tmp_path / "few", ["b.jpg"]), tmp_path / "few too")
    fetch(tmp_path / "few too", tmp_path / "photos.tar")
    assert contents(tmp_path / "photos.tar") == {"b.jpg": b"b"}


def test_a_missing_an_empty_and_a_wrong_folder_are_errors_that_name_it(tmp_path: Path) -> None:
    tar = tmp_path / "archives" / "photos.tar"
    with pytest.raises(FetchError, match=rf"photos\.tar: {tmp_path}/none is no folder; correct `local` in the catalog entry"):
        fetch(tmp_path / "none", tar)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(FetchError, match="is no folder"):
        fetch(tmp_path / "file", tar)
    (tmp_path / "empty" / "more").mkdir(parents=True)
    with pytest.raises(FetchError, match=rf"photos\.tar: the folder {tmp_path}/empty holds no file"):
        fetch(tmp_path / "empty", tar)
    assert not tar.exists()


@pytest.mark.parametrize("target", ["elsewhere", "nowhere", "."])
def test_a_link_that_is_not_followed_is_refused_and_not_left_out(photos: Path, tmp_path: Path, target: str) -> None:
    fill(tmp_path / "elsewhere", ["b.jpg"])
    (photos / "more").symlink_to(tmp_path / target)
    with pytest.raises(
        FetchError, match=rf"photos\.tar: {photos}/more is a link to a folder or to nothing, .*put the files there"
    ):
        fetch(photos, tmp_path / "photos.tar")
    assert not (tmp_path / "photos.tar").exists()


def test_the_folder_itself_may_be_a_link_and_may_be_in_the_home(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linked").symlink_to(photos)
    monkeypatch.setenv("HOME", str(tmp_path))
    fetch("~/linked", tmp_path / "photos.tar")
    assert contents(tmp_path / "photos.tar") == FILES


def test_a_checksum_in_the_entry_is_that_of_the_tar(photos: Path, tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    fetch(photos, tar)
    right = Archive(path="photos.tar", kind="folder", local=str(photos), sha256=sha256_file(tar), bytes=tar.stat().st_size)
    fetch_archive(right, tar, log=lambda _: None)
    wrong = Archive(path="photos.tar", kind="folder", local=str(photos), sha256="0" * 64)
    with pytest.raises(ArchiveError, match="the content is not the expected one"):
        fetch_archive(wrong, tar, log=lambda _: None)
