"""The program that fetches a split of Open Images through FiftyOne's downloader, made safe against its faults.

FiftyOne writes straight to final names, compares no lengths, tries once, waits for ever, and takes whatever is there for
whole, so that a cut connection leaves a short file for good. Here it works in a folder ``<out>.part``. After each attempt all
that is not whole is removed: texts and photos that differ from the checksum or the length that their server tells, masks whose
zip was not extracted to its end. When everything is there, the folder gets its name. A second run after a kill fetches what is
missing.

It runs in an environment of its own (``envs/fiftyone.txt``) and imports nothing of this package; ``fetch/fiftyone.py`` starts it.
"""

from __future__ import annotations

import argparse
import csv
import errno
import os
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bucket import Bucket
from .faults import IMAGE_ID, fault_of_photo, fault_of_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

ORIGIN = "https://storage.googleapis.com"
LABELS = ("detections", "segmentations")
MISSING_NAME = "missing_images.txt"
CHECKSUMS_NAME = "photos.md5"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
_ADDRESSES = "_ANNOTATION_DOWNLOAD_URLS"
_MOST_GONE_SHARE, _MOST_GONE = 0.01, 10
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DownloadError(Exception):
    """What could not be had."""


def main(arguments: Sequence[str]) -> int:
    """Fetch one split; 0 when its folder is whole."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as home:
        try:
            _fetch(options, Path(home))
        except DownloadError as error:
            _say(f"error: {error}")
            return 1
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder that is made: data/, labels/, metadata/")
    parser.add_argument("--split", required=True, choices=("train", "validation", "test"))
    parser.add_argument("--mirror", help=f"base address in place of {ORIGIN} and of the bucket's own")
    parser.add_argument("--tries", type=int, required=True, help="attempts in a row that bring nothing")
    parser.add_argument("--timeout-s", type=float, required=True, help="for connecting and for silence")
    parser.add_argument("--workers", type=int, help="photos at a time")
    parser.add_argument("--max-images", type=int, help="only so many photos, the first by id, for a trial")
    return parser


def _fetch(options: argparse.Namespace, home: Path) -> None:
    # FiftyOne reads its settings when it is imported. Nothing of it goes to the user's home, and the bucket wants no profile.
    os.environ.update(
        HOME=str(home), FIFTYONE_DO_NOT_TRACK="1", FIFTYONE_SHOW_PROGRESS_BARS="0", AWS_EC2_METADATA_DISABLED="true"
    )
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        os.environ.pop(name, None)
    if options.mirror is not None:
        os.environ["AWS_ENDPOINT_URL_S3"] = options.mirror
    try:
        from fiftyone.utils import openimages  # noqa: PLC0415  (after its settings)
    except ImportError as error:
        raise DownloadError(f"{error}; make the environment with: pip install -r envs/fiftyone.txt") from error
    if options.mirror is not None:  # it has no setting for them
        setattr(openimages, _ADDRESSES, _moved(getattr(openimages, _ADDRESSES), options.mirror))
    _limit_silence(options.timeout_s)
    _Split(openimages, options).fetch()


def _moved(value: Any, mirror: str) -> Any:  # noqa: ANN401  (nested dictionaries of addresses and numbers)
    if isinstance(value, dict):
        return {key: _moved(one, mirror) for key, one in value.items()}
    return value.replace(ORIGIN, mirror) if isinstance(value, str) else value


def _limit_silence(timeout_s: float) -> None:
    """Give the requests for texts a timeout, which they lack, and errors that name the server's answer."""
    import requests  # noqa: PLC0415  (FiftyOne's, here with its settings)

    plain = requests.Session.request

    def request(session: requests.Session, method: str, url: str, **options: Any) -> requests.Response:  # noqa: ANN401
        response = plain(session, method, url, **{**options, "timeout": timeout_s})
        response.raise_for_status()
        return response

    # FiftyOne makes its sessions itself, so it is their class that changes.
    requests.Session.request = request  # type: ignore[assignment, method-assign]


class _Split:
    """One split on its way."""

    def __init__(self, package: ModuleType, options: argparse.Namespace) -> None:
        self._package, self._options = package, options
        self._folder = options.out.with_name(f"{options.out.name}.part")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._bucket = Bucket(self._folder / CHECKSUMS_NAME, options.timeout_s)
        general, split = (getattr(package, _ADDRESSES)[key] for key in ("general", options.split))
        self._texts = {
            "metadata/classes.csv": general["class_names"],
            "metadata/hierarchy.json": None,  # FiftyOne writes it anew, with names in place of codes
            "metadata/segmentation_classes.csv": general["segmentation_classes"],
            "metadata/image_ids.csv": split["image_ids"],
            "labels/detections.csv": split["detections"],
            "labels/segmentations.csv": split["segmentations"]["mask_csv"],
        }
        self._whole: set[str] = set()  # texts, photos and folders of masks, each looked at once

    def fetch(self) -> None:
        """Fetch all that is missing, and give the folder its name.

        Raises:
            DownloadError: it did not come to that.
        """
        self._complete([], list(self._texts))
        ids = self._listed_ids()
        masks = sorted({f"labels/masks/{one[0].upper()}" for one in ids})
        self._complete(ids, [*masks, *map(_photo_name, ids)])
        gone = sorted(self._bucket.gone.intersection(ids))
        if gone:
            (self._folder / MISSING_NAME).write_text("".join(f"{one}\n" for one in gone), encoding="ascii")
        self._bucket.close()
        self._folder.replace(self._options.out)
        _say(f"{self._options.out}: {len(ids) - len(gone)} of {len(ids)} photos, {len(gone)} are gone from the origin")

    def _listed_ids(self) -> list[str]:
        with (self._folder / "metadata/image_ids.csv").open(encoding="utf-8", newline="") as lines:
            ids = sorted({row["ImageID"] for row in csv.DictReader(lines)})
        strange = [one for one in ids if not IMAGE_ID.fullmatch(one)]
        if strange:
            raise DownloadError(f"the list of images holds {strange[0][:80]!r}, expected 16 hexadecimal digits")
        return ids[: self._options.max_images]

    def _complete(self, ids: list[str], names: list[str]) -> None:
        """Let FiftyOne work until all these files and folders are whole. Each that comes starts the count of tries anew.

        Raises:
            DownloadError: some never came, or too many photos are gone.
        """
        failures, left = 0, self._lacking(names)
        while left:
            problem = self._work([one for one in ids if one not in self._bucket.gone])
            before, left = len(left), self._lacking(names)
            most_gone = max(_MOST_GONE, int(_MOST_GONE_SHARE * len(ids)))
            if len(self._bucket.gone) > most_gone:
                raise DownloadError(f"more than {most_gone} of {len(ids)} photos are gone from the bucket: has it moved?")
            if not left:
                return
            failures = 0 if len(left) < before else failures + 1
            problem = problem or f"missing or wrong: {len(left)}, such as {left[0]}"
            if failures >= self._options.tries:
                raise DownloadError(f"given up after {failures} attempts in a row that brought nothing: {problem}")
            wait_s = min(_FIRST_WAIT_S * 2**failures, _LONGEST_WAIT_S)
            _say(f"{problem}; again in {wait_s:g} s")
            time.sleep(wait_s)

    def _work(self, ids: list[str]) -> str:
        """Let FiftyOne work once, and say what stopped it."""
        self._bucket.refusal = ""
        try:
            self._package.download_open_images_split(
                str(self._folder),
                self._options.split,
                version="v6",
                label_types=list(LABELS),
                image_ids=ids,
                num_workers=self._options.workers,
            )
        except Exception as error:  # (whatever its libraries raise)
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, OSError) and cause.errno in _FULL:
                    raise DownloadError(f"{os.strerror(errno.ENOSPC)}: {self._folder}") from error
                cause = cause.__cause__ or cause.__context__
            last = getattr(error, "last_exception", error)  # of boto's error that retries were in vain
            return f"{type(last).__name__}: {str(last)[:300]}{self._bucket.refusal}"
        return ""

    def _lacking(self, names: list[str]) -> list[str]:
        """Which of these are not there, after what is not whole was removed, so that FiftyOne fetches it again."""
        for name, url in self._texts.items():
            if name not in self._whole:
                self._judge(name, partial(fault_of_text, url=url, timeout_s=self._options.timeout_s))
        for packed in (self._folder / "labels/masks").glob("*.zip"):  # it is removed when the last mask is extracted
            shutil.rmtree(packed.with_suffix(""), ignore_errors=True)
            packed.unlink()
        self._whole.update(f"labels/masks/{one.name}" for one in (self._folder / "labels/masks").glob("[0-9A-F]"))
        for path in (self._folder / "data").glob("*"):
            if (name := f"data/{path.name}") not in self._whole:
                self._judge(name, partial(fault_of_photo, md5=self._bucket.md5_of.get(path.stem)))
        return [name for name in names if name not in self._whole and Path(name).stem not in self._bucket.gone]

    def _judge(self, name: str, fault_of: Callable[[Path], str]) -> None:
        path = self._folder / name
        if not path.exists():
            return
        fault = fault_of(path)
        if fault:
            _say(f"{name}: {fault}; removed")
            path.unlink()
        else:
            self._whole.add(name)


def _photo_name(image_id: str) -> str:
    return f"data/{image_id}.jpg"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
