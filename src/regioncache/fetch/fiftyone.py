"""A split of Open Images through FiftyOne's downloader, made safe against its faults.

FiftyOne writes straight to final names, compares no lengths, tries once, and takes whatever is there for whole, so that a cut
connection leaves a short file for good. Here it works in a folder ``<out>.part``. Before and after each attempt all that is
not whole is removed: texts whose length is not the server's or whose last line lacks columns, masks whose zip was not
extracted to its end, photos without their end marker. When everything is there, the folder gets its name. A second run after
a kill fetches what is missing.

It runs in an environment of its own (``envs/fiftyone.txt``) and imports nothing of this package::

    python -P fiftyone.py <out> --split validation

``-P`` keeps this file's folder off the path, where this file would be taken for the package.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

ORIGIN = "https://storage.googleapis.com"
LABELS = ("detections", "segmentations")
MISSING_NAME = "missing_images.txt"
_IMAGE_ID = re.compile(r"[0-9a-f]{16}")
_TAIL_BYTES = 1 << 16
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_TIMEOUT_S = 60
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
_ADDRESSES = "_ANNOTATION_DOWNLOAD_URLS"
_GONE = ("404", "NoSuchKey", "403")


class DownloadError(Exception):
    """What could not be had."""


def main(arguments: Sequence[str]) -> int:
    """Fetch one split; 0 when its folder is whole."""
    options = _parser().parse_args(arguments)
    if options.out.is_dir():
        _say(f"{options.out} is whole already")
        return 0
    with tempfile.TemporaryDirectory() as home:
        package = _imported(Path(home), options.mirror)
        try:
            _Split(package, options).fetch()
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
    parser.add_argument("--tries", type=int, default=5, help="attempts at each part (default: 5)")
    parser.add_argument("--workers", type=int, help="photos at a time")
    parser.add_argument("--max-images", type=int, help="only so many photos, the first by id, for a trial")
    return parser


def _imported(home: Path, mirror: str | None) -> ModuleType:
    """FiftyOne's module, which reads its settings when it is imported: nothing of it goes to the user's home."""
    os.environ.update(HOME=str(home), FIFTYONE_DO_NOT_TRACK="1", AWS_EC2_METADATA_DISABLED="true")
    if mirror is not None:
        os.environ["AWS_ENDPOINT_URL_S3"] = mirror
    try:
        from fiftyone.utils import openimages  # noqa: PLC0415  (after its settings)
    except ImportError as error:
        raise SystemExit(f"error: {error}; make the environment with: pip install -r envs/fiftyone.txt") from error
    if mirror is not None:
        setattr(openimages, _ADDRESSES, _moved(getattr(openimages, _ADDRESSES), mirror))  # it has no setting for them
    module: ModuleType = openimages
    return module


def _moved(value: Any, mirror: str) -> Any:  # noqa: ANN401  (nested dictionaries of addresses and numbers)
    if isinstance(value, dict):
        return {key: _moved(one, mirror) for key, one in value.items()}
    return value.replace(ORIGIN, mirror) if isinstance(value, str) else value


class _Split:
    """One split on its way."""

    def __init__(self, package: ModuleType, options: argparse.Namespace) -> None:
        self._package, self._options = package, options
        self._folder = options.out.with_name(f"{options.out.name}.part")
        general, split = (getattr(package, _ADDRESSES)[key] for key in ("general", options.split))
        self._texts = {
            "metadata/classes.csv": general["class_names"],
            "metadata/segmentation_classes.csv": general["segmentation_classes"],
            "metadata/image_ids.csv": split["image_ids"],
            "labels/detections.csv": split["detections"],
            "labels/segmentations.csv": split["segmentations"]["mask_csv"],
        }
        self._whole: set[str] = set()

    def fetch(self) -> None:
        """Fetch all that is missing, and give the folder its name."""
        self._attempts([], self._lacking_texts)
        ids = self._listed_ids()
        gone: list[str] = []
        self._photos([one for one in ids if not self._photo(one).exists()], gone)
        if gone:
            (self._folder / MISSING_NAME).write_text("".join(f"{one}\n" for one in gone))
        self._folder.replace(self._options.out)
        _say(f"{self._options.out}: {len(ids) - len(gone)} of {len(ids)} photos, {len(gone)} are gone from the origin")

    def _listed_ids(self) -> list[str]:
        with (self._folder / "metadata/image_ids.csv").open(encoding="utf-8", newline="") as lines:
            ids = sorted({row["ImageID"] for row in csv.DictReader(lines)})
        strange = [one for one in ids if not _IMAGE_ID.fullmatch(one)]
        if strange:
            raise DownloadError(f"the list of images holds {strange[0][:80]!r}, expected 16 hexadecimal digits")
        return ids[: self._options.max_images]

    def _photo(self, image_id: str) -> Path:
        path: Path = self._folder / "data" / f"{image_id}.jpg"
        return path

    def _photos(self, ids: list[str], gone: list[str]) -> None:
        """Fetch photos and the masks that go with them; where some are gone, halves are tried, down to those alone."""
        if not ids:
            return
        try:
            self._attempts(ids, lambda: [one for one in ids if not self._photo(one).exists()])
        except _GoneError:
            ids = [one for one in ids if not self._photo(one).exists()]
            if len(ids) == 1:
                gone += ids
                return
            for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
                self._photos(half, gone)

    def _attempts(self, ids: list[str], lacking: Callable[[], list[str]]) -> None:
        """Let FiftyOne work until nothing is lacking.

        Raises:
            DownloadError: it did not come to that.
        """
        wait_s, problem = _FIRST_WAIT_S, ""
        for attempt in range(self._options.tries):
            if attempt:
                _say(f"attempt {attempt} of {self._options.tries}: {problem}; again in {wait_s:g} s")
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            self._remove_parts()
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
                if _says_gone(error):
                    self._remove_parts()
                    raise _GoneError from error
                problem = f"{type(error).__name__}: {str(error)[:200]}"
            self._remove_parts()
            left = lacking()
            if not left:
                return
            problem = (
                f"{len(left)} files are missing or short, such as {left[0]}" if problem == "nothing was fetched" else problem
            )
        raise DownloadError(f"{self._options.split}: given up after {self._options.tries} attempts: {problem}")

    def _lacking_texts(self) -> list[str]:
        names = [*self._texts, "metadata/hierarchy.json"]
        return [name for name in names if not (self._folder / name).exists()]

    def _remove_parts(self) -> None:
        """Remove what is not whole, so that FiftyOne fetches it again."""
        for name, url in self._texts.items():
            path = self._folder / name
            if path.exists() and name not in self._whole:
                if _is_whole_text(path, url):
                    self._whole.add(name)
                else:
                    path.unlink()
        hierarchy = self._folder / "metadata/hierarchy.json"
        if hierarchy.exists() and not _is_json(hierarchy):
            hierarchy.unlink()
        for packed in (self._folder / "labels/masks").glob("*.zip"):  # it is removed when the last mask is extracted
            shutil.rmtree(packed.with_suffix(""), ignore_errors=True)
            packed.unlink()
        for path in (self._folder / "data").glob("*"):
            if path.suffix != ".jpg" or not _is_whole_jpeg(path):
                path.unlink()


def _says_gone(error: Exception) -> bool:
    """Whether an error is the bucket's answer that it has no such photo."""
    response = getattr(error, "response", None)  # of boto's errors a dictionary, of requests' an object or None
    return isinstance(response, dict) and response.get("Error", {}).get("Code") in _GONE


class _GoneError(Exception):
    """At least one of several photos is not in the bucket."""


def _is_whole_text(path: Path, url: str) -> bool:
    """Whether a text has the server's length, or, where that is not told, a last line like its first."""
    length = _length_at(url)
    if length is not None:
        return path.stat().st_size == length
    with path.open("rb") as handle:
        first = handle.readline()
        handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        last = handle.read().splitlines()[-1:]
    counts = [len(next(csv.reader([one.decode("utf-8", "replace")]), [])) for one in (first, *last)]
    return len(counts) > 1 and counts[0] == counts[1]


def _length_at(url: str) -> int | None:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (one of FiftyOne's own addresses, or of the mirror)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            length = answer.headers.get("Content-Length")
    except OSError:
        return None
    return None if length is None or answer.headers.get("Content-Encoding") else int(length)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _is_whole_jpeg(path: Path) -> bool:
    """Whether a photo begins as a JPEG and has an end marker near its end; converting looks at it more closely."""
    with path.open("rb") as handle:
        start = handle.read(len(_JPEG_START))
        handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return start == _JPEG_START and _JPEG_END in handle.read()[-1024:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
