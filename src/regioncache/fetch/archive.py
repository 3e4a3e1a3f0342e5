"""One archive, from wherever it can be had, to a verified file under its own name."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regioncache.atomic import sync_folder, temporary_name
from regioncache.errors import ArchiveError, FetchError
from regioncache.fetch.azcopy import AzCopy
from regioncache.fetch.azure import AzureOptions, download_blob
from regioncache.fetch.folder import pack_folder
from regioncache.fetch.http import Wget, download, require_wget
from regioncache.fetch.lock import file_lock
from regioncache.fetch.mirrors import find_local, is_url, mirrors_of
from regioncache.fetch.record import is_verified, write_record
from regioncache.fetch.redact import redact
from regioncache.fetch.sas import Tokens
from regioncache.fetch.verify import verify_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from regioncache.catalog import Archive


def fetch_archive(
    archive: Archive,
    destination: Path,
    *,
    mirrors: Sequence[str] = (),
    offline: bool = False,
    tries: int = 6,
    timeout_s: float = 60.0,
    wait_s: float = 10.0,
    lock_wait_s: float = 12 * 3600.0,
    tokens: Tokens | None = None,
    azure: AzureOptions | None = None,
    log: Callable[[str], None],
) -> Path:
    """Make ``destination`` the verified archive; at once, and without a connection, if it is that already.

    A download grows in ``<destination>.part``, which a failure or a kill leaves to be resumed; azcopy, which resumes no
    file, works in ``<destination>.azcopy``. A local file is not copied but linked to. ``<destination>.lock`` keeps a second
    run waiting, which then finds the finished file.

    Args:
        archive: what is wanted.
        destination: where; its folder is created.
        mirrors: the user's own places, tried first: local folders, local files, or URL prefixes.
        offline: use local places only, and start no program.
        tries: how often a download is tried at each address without progress.
        timeout_s: for name lookup, for connecting and for silence.
        wait_s: the longest pause between tries.
        lock_wait_s: how long to wait for another process that fetches the same file.
        tokens: shared access signatures for the addresses that need one.
        azure: how blobs of Azure are had.
        log: receives progress, a line at a time, free of secrets.

    Returns:
        The destination.

    Raises:
        FetchError: no place has it; lists each place tried and why it failed, and which file to place where by hand.
        ArchiveError: a file lies at the destination that is not this archive.
        DiskFullError: there is no room for it.
    """
    if archive.kind == "folder":
        with file_lock(_lock_path(destination), wait_s=lock_wait_s, log=log):
            return pack_folder(archive, destination, log=log)
    if is_verified(destination, archive):
        return destination
    with file_lock(_lock_path(destination), wait_s=lock_wait_s, log=log) as lock_fd:
        if _is_in_place(destination, archive, log):
            return destination
        wget = Wget(tries=tries, timeout_s=timeout_s, wait_s=wait_s, lock_fd=lock_fd, log=log)
        azcopy = AzCopy(tries=tries, timeout_s=timeout_s, wait_s=wait_s, lock_fd=lock_fd, log=log)
        downloads = _Downloads(archive, destination, tokens or Tokens(), azure or AzureOptions(), wget, azcopy)
        failures: list[str] = []
        for mirror in mirrors_of(archive, mirrors):
            shown = redact(mirror)
            log(f"{archive.path}: trying {shown}")
            if is_url(mirror) and offline:
                failures.append(f"{shown}: not tried, because offline is set")
                continue
            try:
                if is_url(mirror):
                    downloads.fetch(mirror)
                else:
                    _link(find_local(mirror, archive), destination, archive)
            except (FetchError, ArchiveError) as error:
                failures.append(f"{shown}: {redact(str(error))}")
                log(failures[-1])
            else:
                log(f"{archive.path}: verified")
                return destination
    raise FetchError(_not_found(archive, destination, failures))


@dataclass(frozen=True)
class _Downloads:
    """Downloads of one archive, from whichever address, by the tool that suits it."""

    archive: Archive
    destination: Path
    tokens: Tokens
    azure: AzureOptions
    wget: Wget
    azcopy: AzCopy

    def fetch(self, url: str) -> None:
        """Make the destination the archive that lies at an address."""
        size_mb = (self.archive.disk_mb or 0) if self.archive.bytes is None else self.archive.bytes / 1e6
        signed = self.tokens.sign(url, size_mb)
        is_blob = self.azure.is_blob(url)
        try:
            if is_blob:
                self._fetch_blob(signed.url)
            else:
                self._by_wget(signed.url)
        except FetchError as error:
            if is_blob or signed.url != url:
                raise FetchError(f"{error}; {signed.asked_with}") from error
            raise

    def _fetch_blob(self, url: str) -> None:
        tool = self.azure.tool
        if tool == "azcopy":
            self._by_azcopy(url)
        elif tool == "wget" or _name_beside(self.destination, "part").exists():  # azcopy could not go on from there
            self._by_wget(url)
        else:
            try:
                self._by_azcopy(url)
            except FetchError as error:
                self.wget.log(f"{error}; fetched by wget instead")
                self._by_wget(url)

    def _by_wget(self, url: str) -> None:
        require_wget()
        part = _name_beside(self.destination, "part")
        self._publish(part, download(url, part, self.archive, self.wget))

    def _by_azcopy(self, url: str) -> None:
        file = _name_beside(self.destination, "azcopy") / self.destination.name
        self._publish(file, download_blob(url, file, self.archive, self.azcopy))

    def _publish(self, file: Path, sha256: str) -> None:
        """Give a verified file its name, once its bytes are on the disk."""
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())
        file.replace(self.destination)
        sync_folder(self.destination.parent)
        write_record(self.destination, sha256)
        _name_beside(self.destination, "part").unlink(missing_ok=True)  # of an earlier run with the other tool
        shutil.rmtree(_name_beside(self.destination, "azcopy"), ignore_errors=True)


def _name_beside(destination: Path, suffix: str) -> Path:
    return destination.with_name(f"{destination.name}.{suffix}")


def _lock_path(destination: Path) -> Path:
    """The lock beside an archive; makes its folder."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    return _name_beside(destination, "lock")


def _is_in_place(destination: Path, archive: Archive, log: Callable[[str], None]) -> bool:
    """Verify what lies at the destination: another run's file, one placed by hand, or our link to a changed file."""
    if is_verified(destination, archive):
        return True
    try:
        if not destination.exists():
            destination.unlink(missing_ok=True)  # a link of ours to a file that is gone
            return False
        log(f"{destination}: found in place, verifying")
        write_record(destination, verify_whole(destination, archive))
    except ArchiveError as error:
        if destination.is_symlink():
            log(f"{error}; the link is removed")
            destination.unlink()
            return False
        raise ArchiveError(
            error.path,
            error.problem,
            expected=error.expected,
            found=error.found,
            remedy="Remove it or put the right file there, and run the same command again",
        ) from error
    return True


def _link(file: Path, destination: Path, archive: Archive) -> None:
    """Verify a local file and link to it, in one rename."""
    found = verify_whole(file, archive)
    temporary = temporary_name(destination)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(file)
    temporary.replace(destination)
    write_record(destination, found)


def _not_found(archive: Archive, destination: Path, failures: Sequence[str]) -> str:
    tried = (
        "".join(f"\n  {number}. {failure}" for number, failure in enumerate(failures, start=1))
        or "\n  nothing: it has no address"
    )
    if archive.by_hand is not None:
        tried += f"\nIt is to be placed by hand: {archive.by_hand}."
    size = "" if archive.bytes is None else f", {archive.bytes} bytes"
    sha256 = "" if archive.sha256 is None else f", sha256 {archive.sha256}"
    return (
        f"{archive.path} could not be had. Tried, in this order:{tried}\n"
        f"Run the same command again later, or get the file yourself ({archive.kind}{size}{sha256}) and place it at"
        f" {destination.absolute()}, or name a folder that holds it in the configuration's mirrors"
    )
