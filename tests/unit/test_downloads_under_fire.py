"""Every fault of a server against both downloaders: the right bytes or one clear error, and no byte fetched twice.

azcopy takes 2 s for any download, so the faults are met side by side, before the tests that look at what came of them.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import resource
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import numpy as np
import pytest

import regioncache
from azurite import sign
from fault_server import HTML, Fault, FaultServer, ServedFile, serving
from regioncache.catalog import Archive
from regioncache.errors import FetchError, RegioncacheError
from regioncache.fetch.archive import fetch_archive
from regioncache.fetch.azure import AzureOptions
from regioncache.fetch.lock import file_lock
from regioncache.fetch.sas import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("wget")
Tool = Literal["wget", "azcopy"]
TOOLS: tuple[Tool, ...] = ("wget", "azcopy")
DEAD_HOST = "127.0.0.1:1"
SOURCE_ROOT = Path(regioncache.__file__).parents[1]
SIGNATURE = sign("under fire").replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
TOKEN = f"sv=2022-11-02&sr=c&sp=r&se=2999-01-01&sig={SIGNATURE}"


def zip_of(seed: int, size: int) -> bytes:
    """A true zip that cannot be compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("train2017/000000000009.jpg", np.random.default_rng(seed).bytes(size))
    return buffer.getvalue()


DATA = zip_of(0, 200_000)
LONG = zip_of(1, 30_000_000)  # eight of azcopy's blocks


@dataclass(frozen=True)
class Case:
    """What the server does, and what has to come of it.

    Args:
        faults: of the first requests.
        every: of all requests after them.
        ranges: whether the server knows ranges.
        error: what the error says; the file is fetched if empty.
        twice: whether bytes may be sent more than once.
        dead: whether the address is one where nobody answers.
    """

    faults: tuple[Fault, ...] = ()
    every: Fault | None = None
    ranges: bool = True
    error: str = ""
    twice: bool = False
    dead: bool = False


SHORT = Fault(length=150_000)
CASES: dict[Tool, dict[str, Case]] = {
    "wget": {
        "a sound server": Case(),
        "a connection cut twice": Case((Fault(cut_after=50_000), Fault(cut_after=60_000))),
        "500 twice": Case((Fault(status=500), Fault(status=500))),
        "503 twice with Retry-After": Case((Fault(status=503, retry_after_s=1),) * 2),
        "503 for ever": Case(every=Fault(status=503), error="503 Service Unavailable"),
        "nobody there": Case(dead=True, error="Connection refused"),
        "429 twice": Case((Fault(status=429), Fault(status=429))),
        "403": Case(every=Fault(status=403), error="ERROR 403: Forbidden"),
        "404": Case(every=Fault(status=404), error="ERROR 404: Not Found"),
        "silence in mid-file": Case((Fault(hang_after=80_000),)),
        "silence for ever": Case(every=Fault(hang_after=0), error="timed out"),
        "no ranges": Case(ranges=False),
        "no ranges and a cut": Case((Fault(cut_after=50_000),), ranges=False, twice=True),
        "a wrong length": Case(every=SHORT, error=f"ends after 150000 bytes, expected {len(DATA)} bytes"),
        "a flipped bit": Case(every=Fault(flip_byte=100_000), error="the content is not the expected one"),
        "a web page": Case(every=Fault(body=HTML), error="this is a web page"),
    },
    "azcopy": {
        "a sound server": Case(),
        "a connection cut twice": Case((Fault(cut_after=50_000), Fault(cut_after=60_000))),
        "500 twice": Case((Fault(status=500), Fault(status=500))),
        "503 twice with Retry-After": Case((Fault(status=503, retry_after_s=1),) * 2),
        "nobody there": Case(dead=True, error="does not answer: .*Connection refused"),
        "503 for ever": Case(every=Fault(status=503), error=r"the service is not ready \(503\)"),
        "429 three times": Case((Fault(status=429),) * 3),
        "429 in mid-file": Case((Fault(cut_after=50_000), Fault(status=429)), twice=True),
        "403": Case(every=Fault(status=403), error=r"it refuses the token, or wants one \(403\)"),
        "403 in mid-file": Case(
            (Fault(cut_after=50_000), Fault(status=403)), error=r"refuses the token \(403\): it was good", twice=True
        ),
        "404": Case(every=Fault(status=404), error=r"there is no such blob \(404\)"),
        "silence in mid-file": Case((Fault(hang_after=80_000),)),
        "silence for ever": Case(every=Fault(hang_after=0), error="no byte came for 6 s"),
        "no ranges": Case(ranges=False),
        "no ranges and a cut": Case((Fault(cut_after=50_000),), ranges=False, error="the zip is cut short", twice=True),
        "a wrong length": Case(every=SHORT, error=f"ends after 150000 bytes, expected {len(DATA)} bytes"),
        "a flipped bit": Case(every=Fault(flip_byte=100_000), error="the content is not the expected one"),
        "a web page": Case(every=Fault(body=HTML), error="this is a web page"),
    },
}
ALL = [(tool, name) for tool in TOOLS for name in CASES[tool]]


@dataclass(frozen=True)
class Result:
    """What came of a case."""

    destination: Path
    served: ServedFile
    url: str
    error: RegioncacheError | None
    lines: list[str]


def archive_at(*urls: str, data: bytes = DATA) -> Archive:
    return Archive(path="coco/train2017.zip", kind="zip", bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), urls=urls)


def fetch(
    archive: Archive,
    destination: Path,
    server: FaultServer,
    tool: Literal["wget", "azcopy", "azcopy-then-wget"],
    log: Callable[[str], None] = lambda _: None,
) -> Path:
    host = urlsplit(server.url).netloc
    return fetch_archive(
        archive,
        destination,
        tries=4,
        timeout_s=0.5,
        wait_s=0.05,
        lock_wait_s=20,
        tokens=Tokens({f"{server.url}/acct/": "TRAIN_KEY"}, {"TRAIN_KEY": TOKEN}),
        azure=AzureOptions(tool, (host, DEAD_HOST)),
        log=log,
    )


@pytest.fixture(scope="module", autouse=True)
def _environment(azcopy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        patch.setenv("PATH", f"{azcopy_folder}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[Tool, str], Result]]:
    """Every case, run."""
    folder = tmp_path_factory.mktemp("fire")
    with serving() as server:

        def run(number: int, tool: Tool, case: Case) -> Result:
            url, served = server.serve(f"/acct/tars/{number}.zip", DATA, *case.faults, ranges=case.ranges, every=case.every)
            if case.dead:
                url = url.replace(urlsplit(url).netloc, DEAD_HOST)
            destination = folder / str(number) / "train2017.zip"
            lines: list[str] = []
            try:
                fetch(archive_at(url), destination, server, tool, lines.append)
            except RegioncacheError as error:
                return Result(destination, served, url, error, lines)
            return Result(destination, served, url, None, lines)

        with ThreadPoolExecutor(8) as pool:
            jobs = {key: pool.submit(run, number, key[0], CASES[key[0]][key[1]]) for number, key in enumerate(ALL)}
            yield {key: job.result() for key, job in jobs.items()}


@pytest.mark.parametrize(("tool", "name"), ALL)
def test_a_download_ends_in_the_right_bytes_or_one_clear_error(
    results: dict[tuple[Tool, str], Result], tool: Tool, name: str
) -> None:
    case, result = CASES[tool][name], results[tool, name]
    assert re.search(case.error, str(result.error)), str(result.error)
    if case.error:
        assert isinstance(result.error, FetchError)
        assert not result.destination.exists()
    else:
        assert result.error is None
        assert result.destination.read_bytes() == DATA
        left = sorted(path.name for path in result.destination.parent.iterdir())
        assert left == ["train2017.zip", "train2017.zip.lock", "train2017.zip.verified.json"]
    assert case.twice or result.served.sent_bytes <= len(DATA)


@pytest.mark.parametrize(("tool", "name"), ALL)
def test_no_token_is_in_what_a_download_says_or_leaves(results: dict[tuple[Tool, str], Result], tool: Tool, name: str) -> None:
    result = results[tool, name]
    assert set(result.served.queries) <= {TOKEN, "&".join(sorted(TOKEN.split("&")))}  # azcopy sorts the fields
    assert SIGNATURE[:12] not in "\n".join([*result.lines, str(result.error)])
    for path in result.destination.parent.rglob("*"):
        assert path.is_dir() or SIGNATURE[:12].encode() not in path.read_bytes(), path


def test_an_error_of_azcopy_names_the_token_and_the_log_that_is_kept(results: dict[tuple[Tool, str], Result]) -> None:
    text = str(results["azcopy", "403 in mid-file"].error)
    assert "asked with the token in TRAIN_KEY, valid until 2999-01-01T00:00:00Z" in text
    log = re.search(r"its log is (\S+\.log)\)", text)
    assert log is not None
    assert "403 Forbidden" in Path(log[1]).read_text()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_redirect_to_another_host_takes_no_token_along(server: FaultServer, tmp_path: Path, tool: Tool) -> None:
    with serving() as other:
        there, asked = other.serve("/elsewhere.zip", DATA)
        url, _ = server.serve("/acct/tars/a.zip", DATA, every=Fault(location=there))
        if tool == "wget":
            fetch(archive_at(url), tmp_path / "a.zip", server, tool)
            assert (tmp_path / "a.zip").read_bytes() == DATA
        else:  # azcopy would tell the other host the address that it came from
            with pytest.raises(FetchError, match=f"the service redirects to {urlsplit(there).netloc}, which must not learn"):
                fetch(archive_at(url), tmp_path / "a.zip", server, tool)
        assert set(asked.queries) <= {""}
        assert set(asked.referers) <= {None}


def test_where_azcopy_fails_wget_goes_on_if_that_is_wanted(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "azcopy").write_text("#!/bin/sh\necho libsecret-1.so.0: cannot open shared object file\nexit 127\n")
    (tmp_path / "azcopy").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    url, served = server.serve("/acct/tars/a.zip", DATA)
    reason = r"cannot open shared object file \(azcopy ended with 127"
    with pytest.raises(FetchError, match=reason):
        fetch(archive_at(url), tmp_path / "a.zip", server, "azcopy")
    lines: list[str] = []
    fetch(archive_at(url), tmp_path / "a.zip", server, "azcopy-then-wget", lines.append)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert served.sent_bytes == len(DATA)
    assert any(re.search(reason, line) and line.endswith("fetched by wget instead") for line in lines)


def test_what_wget_began_is_finished_by_wget(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(DATA[:70_000])
    url, served = server.serve("/acct/tars/a.zip", DATA)
    fetch(archive_at(url), tmp_path / "a.zip", server, "azcopy-then-wget")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert served.requests == ["bytes=70000-"]


def test_without_azcopy_the_error_says_how_to_install_it_or_to_do_without(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wget: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "wget").symlink_to(wget)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    url, _ = server.serve("/acct/tars/a.zip", DATA)
    with pytest.raises(FetchError, match=r"azcopy is not installed.*make \.tools/azcopy/ready.*fetch\.azure_tool to wget"):
        fetch(archive_at(url), tmp_path / "a.zip", server, "azcopy")
    fetch(archive_at(url), tmp_path / "a.zip", server, "azcopy-then-wget")
    assert (tmp_path / "a.zip").read_bytes() == DATA


FETCH_IN_A_PROCESS = """
import resource, sys
from pathlib import Path
from regioncache.catalog import Archive
from regioncache.fetch.archive import fetch_archive
from regioncache.fetch.azure import AzureOptions
url, host, tool, size, sha256, destination, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
archive = Archive(path="coco/train2017.zip", kind="zip", bytes=int(size) or None, sha256=sha256 or None, urls=(url,))
options = AzureOptions(tool, (host,))
fetch_archive(archive, Path(destination), timeout_s=5, wait_s=0.05, lock_wait_s=20, azure=options, log=lambda _: None)
"""


def start(url: str, destination: Path, tool: Tool, data: bytes, limit_bytes: int = 0) -> subprocess.Popen[str]:
    known = ["0", ""] if limit_bytes else [str(len(data)), hashlib.sha256(data).hexdigest()]
    command = [sys.executable, "-c", FETCH_IN_A_PROCESS, url, urlsplit(url).netloc, tool, *known]
    return subprocess.Popen(
        [*command, str(destination), str(limit_bytes)],
        env={**os.environ, "PYTHONPATH": str(SOURCE_ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child with its parent")
@pytest.mark.parametrize("how", ["kill -9 of us", "Ctrl-C"])
@pytest.mark.parametrize("tool", TOOLS)
def test_after_an_end_in_mid_file_nothing_lives_on_and_the_next_run_fetches_what_is_missing(
    server: FaultServer, tmp_path: Path, tool: Tool, how: str
) -> None:
    slow = Fault(slow_s=0.004)
    url, served = server.serve("/acct/tars/a.zip", LONG, *[slow] * (1 if tool == "wget" else 8))
    with start(url, tmp_path / "a.zip", tool, LONG) as process:
        server.wait_until_sent(served, 9_000_000)
        if tool == "wget":  # megabytes that were sent may still be on their way to its file
            wait_for(lambda: (tmp_path / "a.zip.part").stat().st_size > 6_000_000)
        if how == "Ctrl-C":  # a terminal sends it to the whole group
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.kill()
        assert process.wait() != 0
    # The program inherited the lock: that it can be had again at once shows that the program is gone too.
    with file_lock(tmp_path / "a.zip.lock", wait_s=2, log=lambda _: None):
        assert not (tmp_path / "a.zip").exists()
    sent_bytes = served.sent_bytes
    assert sent_bytes < len(LONG)
    with start(url, tmp_path / "a.zip", tool, LONG) as process:
        assert process.wait() == 0, process.stderr
    assert (tmp_path / "a.zip").read_bytes() == LONG
    assert not (tmp_path / "a.zip.azcopy").exists()
    again_bytes = served.sent_bytes - sent_bytes
    if tool == "wget":
        assert again_bytes < len(LONG) - 5_000_000
        assert again_bytes == len(LONG) - int(str(served.requests[-1]).removeprefix("bytes=").rstrip("-"))
    else:  # azcopy keeps nothing of a file that it did not finish
        assert again_bytes == len(LONG)


@pytest.mark.parametrize("tool", TOOLS)
def test_of_two_runs_at_once_one_fetches_and_the_other_waits_for_it(server: FaultServer, tmp_path: Path, tool: Tool) -> None:
    url, served = server.serve("/acct/tars/a.zip", DATA, every=Fault(slow_s=0.03))
    destination = tmp_path / "a.zip"
    with start(url, destination, tool, DATA) as first, start(url, destination, tool, DATA) as second:
        assert (first.wait(), second.wait()) == (0, 0)
    assert destination.read_bytes() == DATA
    assert served.sent_bytes == len(DATA)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_disk_that_fills_up_is_named_as_such(server: FaultServer, tmp_path: Path, tool: Tool) -> None:
    url, _ = server.serve("/acct/tars/a.zip", LONG)
    with start(url, tmp_path / "a.zip", tool, LONG, limit_bytes=10_000_000) as process:
        _, text = process.communicate()
    assert process.returncode == 1
    assert re.search(r"DiskFullError: .*no space left for .*a\.zip.*: the disk became full.*Free space on that disk", text), text
    assert not (tmp_path / "a.zip").exists()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10_000_000
    fetch(archive_at(url, data=LONG), tmp_path / "a.zip", server, tool)
    assert (tmp_path / "a.zip").read_bytes() == LONG
