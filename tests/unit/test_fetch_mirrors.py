"""Places on this machine, the order of places, and the secrets in addresses."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from regioncache.catalog import Archive
from regioncache.errors import FetchError
from regioncache.fetch.archive import fetch_archive
from regioncache.fetch.mirrors import mirrors_of
from regioncache.fetch.redact import redact

if TYPE_CHECKING:
    from pathlib import Path


def zip_of(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", text)
    return buffer.getvalue()


DATA = zip_of("the archive")
SHA256 = hashlib.sha256(DATA).hexdigest()
KNOWN = Archive(path="coco/val2017.zip", kind="zip", bytes=len(DATA), sha256=SHA256, urls=("http://127.0.0.1:1/a.zip",))


@pytest.fixture(autouse=True)
def _no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may need a program: with this, none is found."""
    monkeypatch.setenv("PATH", "")


def fetch(archive: Archive, destination: Path, *mirrors: Path | str) -> Path:
    places = [str(mirror) for mirror in mirrors]
    return fetch_archive(archive, destination, mirrors=places, offline=True, log=lambda _: None)


def place(path: Path, data: bytes = DATA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("where", ["coco/val2017.zip", "val2017.zip"], ids=["by path", "by name"])
def test_a_file_in_a_mirror_folder_is_linked_absolutely_and_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    source = place(tmp_path / "mirror" / where)
    monkeypatch.chdir(tmp_path)
    destination = fetch(KNOWN, tmp_path / "archives" / "val2017.zip", "mirror")
    assert destination.is_symlink()
    assert destination.readlink() == source.resolve()
    assert destination.read_bytes() == DATA


def test_the_catalogs_own_local_file_is_found_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path / ".data" / "demo" / "val2017.zip")
    monkeypatch.chdir(tmp_path)
    archive = Archive(path="demo/val2017.zip", kind="zip", local=".data/demo/val2017.zip")
    assert fetch(archive, tmp_path / "archives" / "val2017.zip").read_bytes() == DATA


def test_a_local_file_that_was_made_anew_is_verified_and_taken_again(tmp_path: Path) -> None:
    source = place(tmp_path / "made.zip")
    archive = Archive(path="demo/made.zip", kind="zip", local=str(source))
    destination = fetch(archive, tmp_path / "archives" / "made.zip")
    place(source, zip_of("another, longer text"))
    assert fetch(archive, destination).read_bytes() == source.read_bytes()
    place(source, b"no zip")
    with pytest.raises(FetchError, match="this is no zip archive"):
        fetch(archive, destination)
    assert not destination.exists()


def test_a_link_to_a_file_that_is_gone_is_replaced_from_the_next_mirror(tmp_path: Path) -> None:
    first = place(tmp_path / "first" / "val2017.zip")
    second = place(tmp_path / "second" / "val2017.zip")
    destination = fetch(KNOWN, tmp_path / "val2017.zip", first.parent)
    first.unlink()
    fetch(KNOWN, destination, first.parent, second.parent)
    assert destination.readlink() == second.resolve()


def test_a_named_file_is_taken_by_its_content_or_by_its_name(tmp_path: Path) -> None:
    source = place(tmp_path / "my copy.bin")
    assert fetch(KNOWN, tmp_path / "a" / "val2017.zip", source).read_bytes() == DATA
    unknown = Archive(path="coco/val2017.zip", kind="zip", urls=KNOWN.urls)
    with pytest.raises(FetchError, match=r"this file is not named val2017\.zip, and the catalog has no sha256"):
        fetch(unknown, tmp_path / "b" / "val2017.zip", source)
    assert fetch(unknown, tmp_path / "c" / "val2017.zip", place(tmp_path / "val2017.zip")).read_bytes() == DATA


def test_offline_lists_every_place_with_its_reason_and_what_to_put_where(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    wrong = place(tmp_path / "wrong" / "val2017.zip", DATA[:-1])
    with pytest.raises(FetchError) as caught:
        fetch(KNOWN, tmp_path / "out" / "val2017.zip", tmp_path / "empty", wrong.parent, tmp_path / "none")
    size = len(DATA)
    last = (
        f"Run the same command again later, or get the file yourself (zip, {size} bytes, sha256 {SHA256}) and place it"
        f" at {tmp_path}/out/val2017.zip, or name a folder that holds it in the configuration's mirrors"
    )
    assert [line.strip() for line in str(caught.value).splitlines()] == [
        "coco/val2017.zip could not be had. Tried, in this order:",
        f"1. {tmp_path}/empty: this folder does not hold coco/val2017.zip nor val2017.zip",
        f"2. {wrong.parent}: {wrong}: the file is cut short (expected {size} bytes, found {size - 1} bytes)",
        f"3. {tmp_path}/none: there is no such file or folder",
        "4. http://127.0.0.1:1/a.zip: not tried, because offline is set",
        last,
    ]


def test_user_mirrors_come_first_then_the_local_file_then_the_addresses() -> None:
    archive = Archive(path="coco/val2017.zip", kind="zip", local="here.zip", urls=("http://a.org/val2017.zip",))
    assert mirrors_of(archive, ["/data/mirror", "https://b.org/sets/", "http://a.org"]) == [
        "/data/mirror",
        "https://b.org/sets/val2017.zip",
        "http://a.org/val2017.zip",
        "here.zip",
    ]


def test_a_prefix_with_a_signature_keeps_it_behind_the_name() -> None:
    archive = Archive(path="coco/val2017.zip", kind="zip", local="here.zip")
    assert mirrors_of(archive, ["https://x.blob.core.windows.net/sets/?sv=1&sig=a%2Fb"])[0] == (
        "https://x.blob.core.windows.net/sets/val2017.zip?sv=1&sig=a%2Fb"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://a.org/b.zip for more", "see https://a.org/b.zip for more"),
        ("'https://a.org/b.zip?sv=1&sig=xyz' [200]", "'https://a.org/b.zip?REDACTED' [200]"),
        ("--09:15--  (try: 2)  https://a.org/?sig=xyz", "--09:15--  (try: 2)  https://a.org/?REDACTED"),
        ("https://me:xyz@a.org/b.zip", "https://REDACTED@a.org/b.zip"),
        ("GET /b.zip?se=2030&sig=xyz%3D HTTP/1.1", "GET /b.zip?se=2030&sig=REDACTED HTTP/1.1"),
        ("X-Amz-Signature=xyz&X-Amz-Date=1", "X-Amz-Signature=REDACTED&X-Amz-Date=REDACTED"),
        ("az://c/x?sig=xyz, https://b.org/?token=xyz", "az://c/x?REDACTED https://b.org/?REDACTED"),
    ],
)
def test_signatures_and_passwords_are_blanked_and_nothing_else(text: str, expected: str) -> None:
    assert redact(text) == expected
