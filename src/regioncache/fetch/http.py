"""Downloads over HTTP by wget, resumed where they stopped, and not trusted.

wget resumes best of the common tools (curl's retries begin again at byte 0, aria2c gives up on a 500), but none of them
notices a short or a wrong body: ``verify`` judges every file.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regioncache.errors import ArchiveError, FetchError
from regioncache.fetch.child import run_child
from regioncache.fetch.room import NO_SPACE, check_room, disk_full
from regioncache.fetch.verify import judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from regioncache.catalog import Archive
    from regioncache.fetch.child import Outcome

RETRIED_STATUS = "429,500,502,503,504"
_REASON = re.compile(r"ERROR \d|response\.\.\. [45]\d\d|failed|unable|cannot|refused|timed out|closed|reset|error", re.IGNORECASE)
_FILE_ERROR_STATUS = 3  # wget(1), EXIT STATUS
_INSTALL = (
    "wget is not installed, and archives are downloaded with it. Install it (apt-get install wget, dnf install wget,"
    " brew install wget, or conda install -c conda-forge wget), or place the archives in a local mirror folder"
)


@dataclass(frozen=True)
class Wget:
    """How wget is run.

    Args:
        tries: how often it tries before it gives up.
        timeout_s: for name lookup, for connecting and for silence.
        wait_s: the longest pause between tries; they grow from 1 s.
        lock_fd: the held lock of the output; wget inherits it.
        log: receives its output, redacted.
    """

    tries: int
    timeout_s: float
    wait_s: float
    lock_fd: int
    log: Callable[[str], None]

    def run(self, url: str, part: Path) -> Outcome:
        """Download to ``part``, from where it ends. The address goes in by standard input: it may hold a secret."""
        program = [
            "wget",
            "--continue",
            "--no-use-server-timestamps",
            "--progress=dot:giga",
            f"--tries={self.tries}",
            f"--timeout={self.timeout_s:g}",
            f"--waitretry={self.wait_s:g}",
            "--retry-connrefused",
            f"--retry-on-http-error={RETRIED_STATUS}",
            f"--output-document={part}",
            "--input-file=-",
        ]
        return run_child(program, secret_input=url + "\n", inherited_fds=[self.lock_fd], log=self.log)


def require_wget() -> None:
    """Check that wget is there.

    Raises:
        FetchError: it is not; says how to install it.
    """
    if shutil.which("wget") is None:
        raise FetchError(_INSTALL)


def download(url: str, part: Path, archive: Archive, wget: Wget) -> str:
    """Download to ``part`` until it is the whole archive, and return its sha256.

    What is there already is resumed. A part that turns out wrong is removed, and, if it had been resumed, fetched once
    more from the first byte: the earlier bytes may have been the bad ones. While the part grows, wget is started again
    with a fresh count of tries, because 18 GB over a poor line break more often than any sensible count.

    Args:
        url: where from.
        part: where to; the lock that ``wget`` hands on must be held.
        archive: what it should be.
        wget: how to run it.

    Raises:
        FetchError: the server does not give the file; the part so far is kept.
        ArchiveError: the server gives something else; nothing is kept.
        DiskFullError: there is no room; the part so far is kept.
    """
    found = _judge_old_part(part, archive, wget.log)
    start_bytes = longest_bytes = _size_bytes(part)
    while found is None:
        check_room(part, archive, _size_bytes(part))
        outcome = wget.run(url, part)
        if outcome.status == _FILE_ERROR_STATUS and any(NO_SPACE.search(line) for line in outcome.lines):
            raise disk_full(part, "the disk became full")
        try:
            found = judge(part, archive, finished=outcome.status == 0)
        except ArchiveError as error:
            part.unlink()
            if start_bytes == 0:
                raise
            wget.log(f"{error}; it had been resumed, so it is fetched again from the first byte")
            start_bytes = longest_bytes = 0
            continue
        if found is None and _size_bytes(part) <= longest_bytes:
            if _size_bytes(part) == 0:
                part.unlink(missing_ok=True)  # wget leaves an empty file behind a refusal
            raise FetchError(_reason(outcome, _size_bytes(part), archive))
        longest_bytes = _size_bytes(part)
    return found


def _judge_old_part(part: Path, archive: Archive, log: Callable[[str], None]) -> str | None:
    """The sha256 of a part that an earlier run completed, or None; a wrong one is removed."""
    try:
        return judge(part, archive, finished=False)
    except ArchiveError as error:
        log(f"{error}; fetched again from the first byte")
        part.unlink()
        return None


def _reason(outcome: Outcome, size_bytes: int, archive: Archive) -> str:
    """Why a mirror failed: wget's own last complaint, or what is missing when it had none."""
    if outcome.status == 0:
        expected = "a file" if archive.bytes is None else f"{archive.bytes} bytes"
        return f"the server ends after {size_bytes} bytes, expected {expected}"
    complaints = [line for line in outcome.lines if _REASON.search(line)]
    return f"{complaints[-1] if complaints else 'no message'} (wget ended with {outcome.status})"


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
