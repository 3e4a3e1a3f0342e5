"""A local folder of files, packed into one plain tar: from then on it is an archive like any other."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from regioncache.atomic import atomic_path, write_json
from regioncache.errors import FetchError
from regioncache.fetch.record import is_verified, write_record
from regioncache.fetch.verify import verify_whole
from regioncache.hashing import content_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from regioncache.catalog import Archive

VERSION = 1


def pack_folder(archive: Archive, destination: Path, *, log: Callable[[str], None]) -> Path:
    """Make ``destination`` a tar of the folder's files; at once if no file's name, size or time has changed since.

    The same files give the same tar: names sorted, no owner, no time. Links to files are packed as files.

    Raises:
        FetchError: there is no such folder, no file in it, or a link in it to another folder or to nothing.
        DiskFullError: there is no room for the tar.
    """
    folder = Path(archive.local or "").expanduser()
    if not folder.is_dir():
        raise FetchError(f"{archive.path}: {folder.absolute()} is no folder; correct `local` in the catalog entry")
    found = sorted(folder.rglob("*"))
    files = {path.relative_to(folder).as_posix(): path for path in found if path.is_file()}
    unfollowed = [path for path in found if path.is_symlink() and not path.is_file()]
    if unfollowed:
        raise FetchError(
            f"{archive.path}: {unfollowed[0].absolute()} is a link to a folder or to nothing, and only links to files are"
            " followed; put the files there, or remove the link"
        )
    if not files:
        raise FetchError(f"{archive.path}: the folder {folder.absolute()} holds no file")
    states = [[name, path.stat().st_size, path.stat().st_mtime_ns] for name, path in files.items()]
    key = content_key("pack", VERSION, files=states)
    listing = destination.with_name(destination.name + ".listing.json")
    if is_verified(destination, archive) and listing.exists() and key in listing.read_text(encoding="utf-8"):
        return destination
    log(f"{archive.path}: packing {len(files)} files of {folder}")
    with atomic_path(destination) as temporary, tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, path in files.items():
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            with path.open("rb") as handle:
                tar.addfile(info, handle)
    write_record(destination, verify_whole(destination, archive))
    write_json(listing, {"key": key, "files": len(files)})
    return destination
