"""Downloads by wget: what is fetched, what is resumed, what is refused. Each fault in turn: ``test_downloads_under_fire``."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import regioncache
from fault_server import HTML, Fault, FaultServer, serving
from regioncache.catalog import Archive
from regioncache.errors import ArchiveError, DiskFullError, FetchError
from regioncache.fetch.archive import fetch_archive
from regioncache.fetch.child import run_child
from regioncache.fetch.lock import file_lock
from regioncache.fetch.record import record_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("wget")
SOURCE_ROOT = Path(regioncache.__file__).parents[1]
NO_REQUEST: list[str | None] = []


def zip_of(seed: int) -> bytes:
    """A true zip of about 200 kB that cannot be compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("train2017/000000000009.jpg", np.random.default_rng(seed).bytes(200_000))
    return buffer.getvalue()


DATA = zip_of(0)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serving() as running:
        yield running


def archive_at(*urls: str, size: int | None = len(DATA), sha256: str | None = SHA256) -> Archive:
    return Archive(path="coco/train2017.zip", kind="zip", bytes=size, sha256=sha256, urls=urls)


def fetch(archive: Archive, destination: Path, log: Callable[[str], None] = lambda _: None, tries: int = 4) -> Path:
    return fetch_archive(archive, destination, tries=tries, timeout_s=0.5, wait_s=0.05, lock_wait_s=10, log=log)


def assert_fetched(destination: Path) -> None:
    assert destination.read_bytes() == DATA
    assert not destination.with_name(destination.name + ".part").exists()


def test_a_sound_server_is_asked_once_and_the_file_keeps_its_own_name(server: FaultServer, tmp_path: Path) -> None:
    url, served = server.serve("/train2017.zip", DATA)
    destination = tmp_path / "coco" / "train2017.zip"
    assert fetch(archive_at(url), destination) == destination
    assert_fetched(destination)
    assert served.requests == [None]


def test_a_connection_that_is_cut_twice_is_resumed_with_range_and_no_byte_is_sent_twice(
    server: FaultServer, tmp_path: Path
) -> None:
    url, served = server.serve("/a.zip", DATA, Fault(cut_after=50_000), Fault(cut_after=60_000))
    fetch(archive_at(url), tmp_path / "a.zip")
    assert_fetched(tmp_path / "a.zip")
    assert served.requests == [None, "bytes=50000-", "bytes=110000-"]
    assert served.sent_bytes == len(DATA)


def test_a_line_that_breaks_more_often_than_the_tries_is_followed_as_long_as_the_file_grows(
    server: FaultServer, tmp_path: Path
) -> None:
    url, served = server.serve("/a.zip", DATA, *[Fault(cut_after=20_000)] * 9)
    fetch(archive_at(url), tmp_path / "a.zip", tries=2)
    assert_fetched(tmp_path / "a.zip")
    assert len(served.requests) == 10
    assert served.sent_bytes == len(DATA)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_final_refusal_goes_to_the_next_mirror_at_once(server: FaultServer, tmp_path: Path, status: int) -> None:
    refusing, refused = server.serve("/old.zip", DATA, every=Fault(status=status))
    url, served = server.serve("/new.zip", DATA)
    fetch(archive_at(refusing, url), tmp_path / "a.zip")
    assert_fetched(tmp_path / "a.zip")
    assert (len(refused.requests), len(served.requests)) == (1, 1)


def test_a_part_of_an_earlier_run_is_completed_by_a_server_without_ranges(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(DATA[:70_000])
    url, _ = server.serve("/a.zip", DATA, ranges=False)
    fetch(archive_at(url), tmp_path / "a.zip")
    assert_fetched(tmp_path / "a.zip")


def test_a_file_announced_too_short_is_kept_as_a_beginning_and_the_next_mirror_sends_only_the_rest(
    server: FaultServer, tmp_path: Path
) -> None:
    short, _ = server.serve("/short.zip", DATA, every=Fault(length=150_000))
    url, served = server.serve("/whole.zip", DATA)
    fetch(archive_at(short, url), tmp_path / "a.zip")
    assert_fetched(tmp_path / "a.zip")
    assert served.requests == ["bytes=150000-"]


def test_a_file_announced_too_short_fails_by_name_and_size_and_leaves_its_bytes_to_resume(
    server: FaultServer, tmp_path: Path
) -> None:
    url, _ = server.serve("/short.zip", DATA, every=Fault(length=150_000))
    with pytest.raises(FetchError, match=f"ends after 150000 bytes, expected {len(DATA)} bytes"):
        fetch(archive_at(url), tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == DATA[:150_000]
    assert not (tmp_path / "a.zip").exists()


def test_a_short_zip_of_unknown_size_is_known_by_its_missing_directory(server: FaultServer, tmp_path: Path) -> None:
    short, _ = server.serve("/short.zip", DATA, every=Fault(length=150_000))
    url, _ = server.serve("/whole.zip", DATA)
    lines: list[str] = []
    fetch(archive_at(short, url, size=None, sha256=None), tmp_path / "a.zip", lines.append)
    assert_fetched(tmp_path / "a.zip")
    assert any("the zip is cut short" in line for line in lines)


def test_one_flipped_byte_is_caught_by_the_sha256_and_the_next_mirror_starts_fresh(server: FaultServer, tmp_path: Path) -> None:
    bad, _ = server.serve("/bad.zip", DATA, every=Fault(flip_byte=100_000))
    url, served = server.serve("/good.zip", DATA)
    lines: list[str] = []
    fetch(archive_at(bad, url), tmp_path / "a.zip", lines.append)
    assert_fetched(tmp_path / "a.zip")
    assert served.requests == [None]
    assert any(f"expected sha256 {SHA256}" in line for line in lines)


@pytest.mark.parametrize(
    "part",
    [DATA + b"x", zip_of(1)[: len(DATA) - 9], zip_of(1)[: len(DATA)], b"PK\x03\x04" + bytes(9_000), HTML],
    ids=["too long", "another file's beginning", "another file", "zeros", "web page"],
)
def test_a_wrong_part_of_an_earlier_run_does_not_spoil_the_file(server: FaultServer, tmp_path: Path, part: bytes) -> None:
    (tmp_path / "a.zip.part").write_bytes(part)
    url, served = server.serve("/a.zip", DATA)
    fetch(archive_at(url), tmp_path / "a.zip")
    assert_fetched(tmp_path / "a.zip")
    assert served.requests[-1] is None


def test_a_part_that_is_whole_already_is_verified_without_a_request(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(DATA)
    url, served = server.serve("/a.zip", DATA)
    fetch(archive_at(url), tmp_path / "a.zip")
    assert_fetched(tmp_path / "a.zip")
    assert served.requests == NO_REQUEST


def test_a_web_page_instead_of_the_zip_is_named_with_its_title(server: FaultServer, tmp_path: Path) -> None:
    url, _ = server.serve("/a.zip", DATA, every=Fault(body=HTML))
    with pytest.raises(FetchError, match=r"this is a web page \(expected a zip archive, found 'Quota exceeded'\)"):
        fetch(archive_at(url), tmp_path / "a.zip")
    assert not (tmp_path / "a.zip.part").exists()


def test_a_web_page_does_not_cost_the_bytes_that_are_there_already(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(DATA[:70_000])
    page, _ = server.serve("/page.zip", DATA, every=Fault(body=HTML))
    url, served = server.serve("/a.zip", DATA)
    fetch(archive_at(page, url), tmp_path / "a.zip")
    assert_fetched(tmp_path / "a.zip")
    assert served.requests == ["bytes=70000-"]


def test_a_finished_file_costs_no_request_no_program_and_no_lock(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, served = server.serve("/a.zip", DATA)
    fetch(archive_at(url), tmp_path / "a.zip")
    served.requests.clear()
    monkeypatch.setenv("PATH", "")
    with file_lock(tmp_path / "a.zip.lock", wait_s=0, log=lambda _: None):
        fetch(archive_at(url), tmp_path / "a.zip")
    assert served.requests == NO_REQUEST


def test_a_file_placed_by_hand_is_verified_and_taken(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(DATA)
    url, served = server.serve("/a.zip", DATA)
    fetch(archive_at(url), tmp_path / "a.zip")
    assert served.requests == NO_REQUEST
    assert record_path(tmp_path / "a.zip").exists()


def test_a_wrong_file_placed_by_hand_is_refused_and_not_removed(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(DATA[:-1])
    url, served = server.serve("/a.zip", DATA)
    with pytest.raises(ArchiveError, match=f"expected {len(DATA)} bytes, found {len(DATA) - 1} bytes") as caught:
        fetch(archive_at(url), tmp_path / "a.zip")
    assert "Remove it" in str(caught.value)
    assert (tmp_path / "a.zip").read_bytes() == DATA[:-1]
    assert served.requests == NO_REQUEST


def test_the_error_lists_every_mirror_with_its_reason_and_says_what_to_place_where(server: FaultServer, tmp_path: Path) -> None:
    gone, _ = server.serve("/gone.zip", DATA, every=Fault(status=404))
    forbidden, _ = server.serve("/forbidden.zip", DATA, every=Fault(status=403))
    with pytest.raises(FetchError) as caught:
        fetch(archive_at(gone, forbidden, "http://127.0.0.1:1/a.zip"), tmp_path / "a.zip", tries=1)
    text = str(caught.value)
    assert f"1. {gone}: " in text
    assert "ERROR 404" in text
    assert f"2. {forbidden}: " in text
    assert "ERROR 403" in text
    assert "3. http://127.0.0.1:1/a.zip: " in text
    assert "Connection refused" in text
    assert str(tmp_path / "a.zip") in text
    assert SHA256 in text
    assert f"{len(DATA)} bytes" in text


def test_a_signed_address_works_and_its_signature_reaches_no_log_and_no_error(server: FaultServer, tmp_path: Path) -> None:
    url, served = server.serve("/a.zip", DATA, Fault(cut_after=50_000))
    gone, _ = server.serve("/gone.zip", DATA, every=Fault(status=404))
    lines: list[str] = []
    signed = "?sv=2024&se=2030-01-01T00%3A00Z&sig=s3cr3t%2Bvalue%3D"
    with pytest.raises(FetchError) as caught:
        fetch(archive_at(gone + signed), tmp_path / "b.zip", lines.append)
    fetch(archive_at(url + signed), tmp_path / "a.zip", lines.append)
    assert_fetched(tmp_path / "a.zip")
    assert len(served.requests) == 2
    everything = "\n".join([*lines, str(caught.value)])
    assert "s3cr3t" not in everything
    assert "sig=" not in everything
    assert url + "?REDACTED" in everything


def test_a_signed_address_is_not_in_the_argument_list_that_every_user_can_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "wget"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nread address\necho $address > {tmp_path}/input\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError):
        fetch(archive_at("http://127.0.0.1:1/a.zip?sig=s3cr3t"), tmp_path / "a.zip")
    assert "sig=" not in (tmp_path / "arguments").read_text()
    assert (tmp_path / "input").read_text() == "http://127.0.0.1:1/a.zip?sig=s3cr3t\n"


def test_without_wget_the_error_says_how_to_install_it(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = server.serve("/a.zip", DATA)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=r"wget is not installed.*apt-get install wget"):
        fetch(archive_at(url), tmp_path / "a.zip")


def test_a_file_that_cannot_fit_is_refused_before_the_first_request(server: FaultServer, tmp_path: Path) -> None:
    url, served = server.serve("/a.zip", DATA)
    with pytest.raises(DiskFullError, match="bytes are still to come") as caught:
        fetch(archive_at(url, size=10**18), tmp_path / "a.zip")
    assert caught.value.errno == errno.ENOSPC
    assert served.requests == NO_REQUEST


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is a device of Linux")
def test_a_disk_that_fills_up_is_named_as_such_and_no_further_mirror_is_tried(server: FaultServer, tmp_path: Path) -> None:
    url, _ = server.serve("/a.zip", DATA)
    other, served = server.serve("/b.zip", DATA)
    (tmp_path / "a.zip.part").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match=r"a\.zip\.part: the disk became full"):
        fetch(archive_at(url, other, size=None, sha256=None), tmp_path / "a.zip")
    assert served.requests == NO_REQUEST


def test_a_lock_that_is_not_given_up_is_reported_with_its_holder(tmp_path: Path) -> None:
    with file_lock(tmp_path / "a.lock", wait_s=0, log=lambda _: None):
        second = file_lock(tmp_path / "a.lock", wait_s=0.1, log=lambda _: None)
        with pytest.raises(FetchError, match=rf"still held by process {os.getpid()} on .+ after 0\.1 s"):
            second.__enter__()


def test_a_program_keeps_the_lock_as_long_as_it_lives(tmp_path: Path) -> None:
    lines: list[str] = []
    with file_lock(tmp_path / "a.lock", wait_s=0, log=lambda _: None) as lock_fd:
        program = ["sh", "-c", f"test /dev/fd/{lock_fd} -ef {tmp_path}/a.lock && echo it has the lock"]
        outcome = run_child(program, secret_input="", inherited_fds=[lock_fd], log=lines.append)
    assert (outcome.status, lines) == (0, ["it has the lock"])
