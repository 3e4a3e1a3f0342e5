"""Blobs of Azure: which addresses they are, and downloads by azcopy, which are not trusted: ``verify`` judges every file."""

from __future__ import annotations

import glob
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from regioncache.errors import ArchiveError, FetchError
from regioncache.fetch.azcopy import AzCopy, explain, log_folder, newest_log, plan_folder, require_azcopy
from regioncache.fetch.child import Watch
from regioncache.fetch.probe import NotReadyError, probe
from regioncache.fetch.room import NO_SPACE, check_room, disk_full
from regioncache.fetch.verify import judge

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.catalog import Archive

AzureTool = Literal["azcopy", "azcopy-then-wget", "wget"]
# The public cloud, its zones, and the clouds of China and of the government of the United States.
_BLOB_DOMAINS = (
    ".blob.core.windows.net",
    ".blob.storage.azure.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.usgovcloudapi.net",
)


@dataclass(frozen=True)
class AzureOptions:
    """How blobs of Azure are had.

    Args:
        tool: azcopy alone; wget when azcopy is missing or fails, which also finishes what wget began; or wget alone.
        hosts: hosts beside Azure's own that speak its protocol, with their port: an emulator, a cloud of one's own.
    """

    tool: AzureTool = "azcopy"
    hosts: tuple[str, ...] = ()

    def is_blob(self, url: str) -> bool:
        """Whether an address is served by Azure's blob storage."""
        parts = urlsplit(url)
        return (parts.hostname or "").endswith(_BLOB_DOMAINS) or parts.netloc.lower() in map(str.lower, self.hosts)


def download_blob(url: str, file: Path, archive: Archive, azcopy: AzCopy) -> str:
    """Download to ``file``, in a folder of its own, and return its sha256.

    Args:
        url: where from, with its token.
        file: where to; the folder is made, and holds only azcopy's logs after a failure.
        archive: what it should be.
        azcopy: how to run it.

    Raises:
        FetchError: the service does not give the blob; says why and where azcopy's log is.
        ArchiveError: it gives something else.
        DiskFullError: there is no room.
    """
    require_azcopy()
    log_folder(file).mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1, azcopy.tries + 1):
        try:
            probe(url, azcopy.timeout_s)
            return _run(url, file, archive, azcopy)
        except NotReadyError as error:
            if number == azcopy.tries:
                raise
            pause_s = min(float(number), azcopy.wait_s)
            azcopy.log(f"{error}; asked again in {pause_s:g} s")
            time.sleep(pause_s)
    raise AssertionError("the last try returns or raises")


def _run(url: str, file: Path, archive: Archive, azcopy: AzCopy) -> str:
    """One run of azcopy, which leaves the whole file or none."""
    _clear(file)
    check_room(file, archive, 0)
    watch = Watch(azcopy.patience_s)
    try:
        outcome = azcopy.run(url, file, watch)
        if outcome.status == 0:
            return _judge(file, archive)
    except BaseException:
        _clear(file)
        raise
    _clear(file)
    error = explain(outcome, newest_log(file), watch)
    if any(NO_SPACE.search(text) for text in (str(error), *outcome.lines)):
        raise disk_full(file, "the disk became full, and azcopy keeps nothing")
    raise error


def _clear(file: Path) -> None:
    """Remove what azcopy left but its logs: a file of full size with holes in it, and plans that are not used again."""
    shutil.rmtree(plan_folder(file), ignore_errors=True)
    for left in [file, *file.parent.glob(f".azDownload-*-{glob.escape(file.name)}")]:
        left.unlink(missing_ok=True)


def _judge(file: Path, archive: Archive) -> str:
    try:
        found = judge(file, archive, finished=True)
    except ArchiveError as error:
        raise ArchiveError(
            archive.path, error.problem, expected=error.expected, found=error.found, remedy=error.remedy
        ) from error
    if found is None:
        size = file.stat().st_size if file.exists() else 0
        expected = "some" if archive.bytes is None else f"{archive.bytes}"
        raise FetchError(f"the blob ends after {size} bytes, expected {expected} bytes")
    return found
