"""A split of Open Images through FiftyOne's downloader, which runs as a program in an environment of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from regioncache.errors import FetchError
from regioncache.fetch.child import run_child
from regioncache.fetch.lock import file_lock
from regioncache.fetch.room import NO_SPACE, disk_full

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = Path(__file__).with_name("programs")
PYTHON = Path(".venv-fiftyone/bin/python")
OpenImagesSplit = Literal["train", "validation", "test"]
_COMPLAINT = "error: "


def fetch_with_fiftyone(
    split: OpenImagesSplit,
    out: Path,
    *,
    python: Path = PYTHON,
    mirror: str | None = None,
    offline: bool = False,
    tries: int = 6,
    timeout_s: float = 60.0,
    lock_wait_s: float = 48 * 3600.0,
    workers: int | None = None,
    max_images: int | None = None,
    log: Callable[[str], None],
) -> Path:
    """Make ``out`` the folder of a split, with ``data/``, ``labels/`` and ``metadata/``; at once if it is there.

    It grows in ``<out>.part``, which a failure or a kill leaves to be resumed. ``<out>.lock`` keeps a second run waiting,
    which then finds the finished folder. Photos that the bucket does not have are listed in ``<out>/missing_images.txt``, the
    checksums that it told of the others in ``<out>/photos.md5``.

    Args:
        split: which.
        out: the folder; its parent is created.
        python: the interpreter of the environment with FiftyOne.
        mirror: base address that replaces those of the publisher.
        offline: start nothing.
        tries: attempts in a row that bring nothing.
        timeout_s: for connecting and for silence.
        lock_wait_s: how long to wait for another process that fetches the same split.
        workers: photos at a time; FiftyOne's own choice if None.
        max_images: only so many photos, the first by id, for a trial.
        log: receives progress, a line at a time.

    Returns:
        The folder.

    Raises:
        FetchError: it could not be had, or there is no such environment.
        DiskFullError: there is no room for it.
    """
    if out.is_dir():
        log(f"{out}: whole already")
        return out
    if offline:
        raise FetchError(f"{out} is not there, and was not fetched, because offline is set. Place the folder there by hand")
    if not python.exists():
        raise FetchError(f"{python}: there is no FiftyOne here. Make its environment with `make .venv-fiftyone/ready`")
    out.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(out.with_name(f"{out.name}.lock"), wait_s=lock_wait_s, log=log) as lock_fd:
        if out.is_dir():
            log(f"{out}: whole by now")
            return out
        options = {
            "mirror": mirror and mirror.rstrip("/"),
            "tries": tries,
            "timeout-s": timeout_s,
            "workers": workers,
            "max-images": max_images,
        }
        words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
        command = [str(python), "-P", "-m", "open_images", str(out), "--split", split, *words]
        outcome = run_child(command, inherited_fds=[lock_fd], variables={"PYTHONPATH": str(PROGRAMS)}, log=log)
    if outcome.status == 0:
        return out
    if any(NO_SPACE.search(line) for line in outcome.lines):
        raise disk_full(out, "the disk became full")
    complaints = [line.removeprefix(_COMPLAINT) for line in outcome.lines if line.startswith(_COMPLAINT)]
    reason = complaints[-1] if complaints else f"it ended with {outcome.status}: {' / '.join(outcome.lines[-3:])}"
    raise FetchError(
        f"Open Images, {split}, could not be had through FiftyOne: {reason}. What came is kept in {out}.part: run the same"
        " command again, and it goes on there; or use the entry openimages, which does without FiftyOne"
    )
