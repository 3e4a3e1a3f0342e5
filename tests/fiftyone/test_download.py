"""Open Images through FiftyOne's own downloader against a mirror that misbehaves, killed and started again."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as pycoco

import regioncache
from built_cache import sample_rows
from fault_server import HTML, Fault, FaultServer, ServedFile, serving
from regioncache.errors import FetchError
from regioncache.fetch.fiftyone import fetch_with_fiftyone
from regioncache.fetch.lock import file_lock
from workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = [f"{digit}0000000000000{k:02x}" for k, digit in enumerate("0123456789abcdef0123")]
MASK = f"{IDS[3]}_m0abc_01234567.png"
LIMIT_S = 120
ENTRIES = Path(__file__).parents[2] / "workflow/catalog/variants"
SOURCE_ROOT = Path(regioncache.__file__).parents[1]


def photo(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.eye(8, dtype=np.bool_)).save(buffer, "PNG")
    return buffer.getvalue()


PNG = png()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def contents() -> dict[str, bytes]:
    """What the origin has, by path."""
    boxes = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
    boxes += "".join(f"{one},xclick,/m/0abc,1,0.1,0.5,0.2,0.6,0,0,0,0,0\n" for one in IDS)
    masks = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
    masks += f"{MASK},{IDS[3]},/m/0abc,01234567,0.1,0.5,0.2,0.6,0.8,\n"
    images = "ImageID,Subset,Rotation\n" + "".join(f"{one},validation,0.0\n" for one in IDS)
    files = {
        "v5/class-descriptions-boxable.csv": b"/m/0abc,Cat\n" + b"".join(b"/m/1%03d,Thing %d\n" % (k, k) for k in range(600)),
        "v5/classes-segmentation.txt": b"/m/0abc\n",
        "2018_04/bbox_labels_600_hierarchy.json": json.dumps({"LabelName": "/m/0bl9f", "Subcategory": []}).encode(),
        "2018_04/validation/validation-images-with-rotation.csv": images.encode(),
        "v5/validation-annotations-bbox.csv": boxes.encode(),
        "v5/validation-annotations-object-segmentation.csv": masks.encode(),
    }
    for digit in "0123456789abcdef":
        members = {MASK: PNG} if digit == IDS[3][0] else {"readme.txt": b"none"}
        files[f"v5/validation-masks/validation-masks-{digit}.zip"] = zipped(members)
    found = {f"/openimages/{name}": data for name, data in files.items()}
    return found | {f"/open-images-dataset/validation/{one}.jpg": photo(k) for k, one in enumerate(IDS)}


def told(path: str, data: bytes) -> dict[str, str]:
    """The checksum that the real servers tell: Google of texts and zips, S3 of photos."""
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    if path.endswith(".jpg"):
        return {"ETag": f'"{md5.hex()}"'}
    return {"x-goog-hash": f"crc32c=AAAAAA==, md5={base64.b64encode(md5).decode()}"}


@dataclass
class Origin:
    """The mirror, and what fetches from it."""

    server: FaultServer
    files: dict[str, ServedFile]
    python: Path
    out: Path

    def serve(
        self, path: str, *faults: Fault, every: Fault | None = None, ranges: bool = True, tells_md5: bool = True
    ) -> ServedFile:
        """Serve a file again, with faults."""
        data = contents()[path]
        headers = told(path, data) if tells_md5 else {}
        _, self.files[path] = self.server.serve(path, data, *faults, every=every, ranges=ranges, headers=headers)
        return self.files[path]

    def run(self, *, tries: int = 5, timeout_s: float = 10, max_images: int | None = None, mirror: str | None = None) -> str:
        """Fetch, and return what was said."""
        lines: list[str] = []
        fetch_with_fiftyone(
            "validation",
            self.out,
            python=self.python,
            mirror=mirror or self.server.url,
            tries=tries,
            timeout_s=timeout_s,
            workers=2,
            max_images=max_images,
            log=lines.append,
        )
        return "\n".join(lines)

    def start(self, workers: int = 2, limit_bytes: int | None = None) -> subprocess.Popen[str]:
        """Fetch in a process of its own."""
        limit = [] if limit_bytes is None else ["prlimit", f"--fsize={limit_bytes}"]
        command = [*limit, sys.executable, "-m", "regioncache", "fetch-with-fiftyone", "validation", str(self.out)]
        options = ["--python", str(self.python), "--mirror", self.server.url, "--workers", str(workers)]

        return subprocess.Popen(
            [*command, *options],
            env={**os.environ, "PYTHONPATH": str(SOURCE_ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def requests(self) -> dict[str, int]:
        """How often each file was asked for."""
        return {path: len(file.requests) for path, file in self.files.items()}

    def assert_whole(self, *missing: str) -> None:
        """The folder holds the origin's bytes under FiftyOne's names."""
        origin = contents()
        names = {
            "metadata/classes.csv": "v5/class-descriptions-boxable.csv",
            "metadata/image_ids.csv": "2018_04/validation/validation-images-with-rotation.csv",
            "labels/detections.csv": "v5/validation-annotations-bbox.csv",
            "labels/segmentations.csv": "v5/validation-annotations-object-segmentation.csv",
        }
        for name, path in names.items():
            assert (self.out / name).read_bytes() == origin[f"/openimages/{path}"], name
        photos = {one.name: one.read_bytes() for one in (self.out / "data").iterdir()}
        kept = [one for one in IDS if one not in missing]
        assert photos == {f"{one}.jpg": origin[f"/open-images-dataset/validation/{one}.jpg"] for one in kept}
        with zipfile.ZipFile(io.BytesIO(origin[ZIP])) as masks:
            assert (self.out / "labels/masks" / MASK[0].upper() / MASK).read_bytes() == masks.read(MASK)
        assert not list(self.out.rglob("*.zip"))
        assert not self.out.with_name(f"{self.out.name}.part").exists()


@pytest.fixture
def origin(fiftyone_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        found = Origin(server, {}, fiftyone_python, tmp_path / "validation")
        for path in contents():
            found.serve(path)
        yield found


BOXES = "/openimages/v5/validation-annotations-bbox.csv"
CLASSES = "/openimages/v5/class-descriptions-boxable.csv"
ZIP = "/openimages/v5/validation-masks/validation-masks-3.zip"
PHOTO = f"/open-images-dataset/validation/{IDS[5]}.jpg"


# What comes once of each kind of file, and is overcome.
ONCE = {
    "a cut connection": Fault(cut_after=100),
    "a cut at the start": Fault(cut_after=0),
    "500": Fault(status=500),
    "503 with Retry-After": Fault(status=503, retry_after_s=1),
    "429": Fault(status=429),
    "403": Fault(status=403),
    "silence": Fault(hang_after=100),
    "silence from the start": Fault(hang_after=0),
    "a wrong length": Fault(length=60),
    "a flipped bit": Fault(flip_byte=90),
    "a web page": Fault(body=HTML),
}
BAD_OF_EACH = (BOXES, ZIP, PHOTO)


def test_a_split_is_fetched_and_a_second_run_asks_for_nothing(origin: Origin) -> None:
    origin.run()
    origin.assert_whole()
    done = subprocess.run(
        ["md5sum", "--check", "--strict", "photos.md5"], cwd=origin.out, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"data/{one}.jpg: OK" for one in sorted(IDS)])
    asked = origin.requests()
    assert "whole already" in origin.run()
    assert origin.requests() == asked


@pytest.mark.parametrize("name", ONCE)
def test_a_fault_that_comes_once_is_overcome(origin: Origin, name: str) -> None:
    for path in BAD_OF_EACH:
        origin.serve(path, ONCE[name])
    origin.run(timeout_s=1)
    origin.assert_whole()
    assert {path for path, times in origin.requests().items() if times > 1} <= set(BAD_OF_EACH)


@pytest.mark.parametrize("name", ["a cut connection", "a wrong length", "a web page"])
def test_without_checksums_lengths_and_forms_are_judged(origin: Origin, name: str) -> None:
    for path in contents():
        origin.serve(path, *([ONCE[name]] if path in BAD_OF_EACH else []), tells_md5=False)
    origin.run()
    origin.assert_whole()


def test_a_short_text_is_noticed_though_its_last_line_looks_whole(origin: Origin) -> None:
    whole = contents()[BOXES]
    origin.serve(BOXES, Fault(body=whole[: whole.index(b"\n", 500) + 1]), tells_md5=False)
    origin.run()
    origin.assert_whole()


def test_a_server_without_ranges_sends_a_cut_file_again(origin: Origin) -> None:
    for path in BAD_OF_EACH:
        origin.serve(path, Fault(cut_after=100), Fault(cut_after=150), ranges=False)
    origin.run()
    origin.assert_whole()


def test_redirects_are_followed_where_the_protocol_knows_them(origin: Origin) -> None:
    with serving() as other:
        moved = {path: other.serve(path, contents()[path], headers=told(path, contents()[path]))[0] for path in BAD_OF_EACH}
        for path in (BOXES, ZIP):
            origin.serve(path, every=Fault(location=moved[path]))
        origin.serve(PHOTO, every=Fault(location=moved[PHOTO]))
        with pytest.raises(FetchError, match=rf"302 for {IDS[5]}.jpg"):  # S3 redirects to a region, never to a place
            origin.run(tries=1)
        origin.serve(PHOTO)
        origin.run()
        origin.assert_whole()


def test_more_faults_than_tries_are_overcome_as_long_as_something_comes(origin: Origin) -> None:
    paths = [path for path in contents() if not path.endswith(".zip")][:9]
    for path in paths:
        origin.serve(path, Fault(length=20))
    origin.run(tries=2)
    origin.assert_whole()


@pytest.mark.parametrize(
    ("path", "fault", "reason"),
    [
        (BOXES, Fault(status=500), "500 Server Error.*for url: .*validation-annotations-bbox.csv"),
        (BOXES, Fault(status=404), "404 Client Error.*for url: .*validation-annotations-bbox.csv"),
        (BOXES, Fault(hang_after=0), "timed out"),
        (BOXES, Fault(flip_byte=90), "missing or wrong: 1, such as labels/detections.csv"),
        (ZIP, Fault(body=HTML), "not a zip file"),
        (PHOTO, Fault(status=403), rf"403 for {IDS[5]}.jpg"),
        (PHOTO, Fault(hang_after=0), "(timed out|timeout)"),
        (PHOTO, Fault(flip_byte=90), rf"missing or wrong: 1, such as data/{IDS[5]}.jpg"),
    ],
)
def test_what_never_comes_is_one_error_and_nothing_has_its_name(origin: Origin, path: str, fault: Fault, reason: str) -> None:
    origin.serve(path, every=fault)
    with pytest.raises(FetchError, match=f"given up after 2 attempts in a row that brought nothing: .*{reason}"):
        origin.run(tries=2, timeout_s=0.5)
    assert not origin.out.exists()
    there = {one.name for one in origin.out.with_name("validation.part").glob("data/*.jpg")}
    before = origin.requests()
    origin.serve(path)
    origin.run()
    origin.assert_whole()
    asked = {Path(one).name for one, times in origin.requests().items() if one != path and times != before[one]}
    assert not asked & there


def test_nobody_there_is_an_error(origin: Origin) -> None:
    with pytest.raises(FetchError, match="Connection refused"):
        origin.run(tries=2, mirror="http://127.0.0.1:1")


def test_photos_that_are_gone_are_listed_and_the_others_are_there(origin: Origin) -> None:
    gone = [IDS[2], IDS[11]]
    for one in gone:
        origin.serve(f"/open-images-dataset/validation/{one}.jpg", every=Fault(status=404))
    assert "18 of 20 photos" in origin.run()
    origin.assert_whole(*gone)
    assert (origin.out / "missing_images.txt").read_text().split() == gone


def test_a_bucket_without_its_photos_is_an_error(origin: Origin) -> None:
    for one in IDS:
        origin.serve(f"/open-images-dataset/validation/{one}.jpg", every=Fault(status=404))
    with pytest.raises(FetchError, match="more than 10 of 20 photos are gone from the bucket"):
        origin.run()
    assert not origin.out.exists()


def test_after_a_kill_what_is_there_is_not_fetched_again(origin: Origin) -> None:
    last = f"/open-images-dataset/validation/{max(IDS)}.jpg"
    slow = origin.serve(last, every=Fault(hang_after=50))
    with origin.start(workers=1) as process:
        origin.server.wait_until_sent(slow, 50, LIMIT_S)
        process.kill()
        process.wait()
    # The program inherited the lock: that it can be had again at once shows that the program is gone too.
    with file_lock(origin.out.with_name("validation.lock"), wait_s=2, log=lambda _: None):
        assert not origin.out.exists()
    before = origin.requests()
    assert [path for path, times in before.items() if not times] == []
    origin.serve(last)
    origin.run()
    origin.assert_whole()
    assert {path for path, times in origin.requests().items() if times != before[path]} <= {last}
    assert len((origin.out / "photos.md5").read_text().splitlines()) == len(IDS)


def test_a_photo_that_changed_while_nobody_ran_is_fetched_again(origin: Origin) -> None:
    origin.serve(BOXES)
    last = f"/open-images-dataset/validation/{max(IDS)}.jpg"
    origin.serve(last, every=Fault(status=403))
    with pytest.raises(FetchError):
        origin.run(tries=1)
    photo_path = origin.out.with_name("validation.part") / "data" / f"{min(IDS)}.jpg"
    changed = bytearray(photo_path.read_bytes())
    changed[90] ^= 1
    photo_path.write_bytes(changed)
    origin.serve(last)
    assert f"data/{min(IDS)}.jpg: its MD5 is " in origin.run()
    origin.assert_whole()


def test_of_two_runs_at_once_one_fetches_and_the_other_waits_for_it(origin: Origin) -> None:
    slow = origin.serve(BOXES, Fault(slow_s=1.5))
    with origin.start() as first:
        origin.server.wait_until_sent(slow, 1, LIMIT_S)
        with origin.start() as second:
            said, also_said = first.communicate()[0], second.communicate()[0]
    assert (first.returncode, second.returncode) == (0, 0), said + also_said
    assert re.search(rf"validation\.lock: held by process {first.pid} on .*; waiting", also_said), also_said
    assert "whole by now" in also_said
    origin.assert_whole()
    assert set(origin.requests().values()) == {1}


@pytest.mark.parametrize("limit_bytes", [1000, 1500], ids=["at a text", "at a photo"])
def test_a_disk_that_fills_up_is_named_as_such(origin: Origin, limit_bytes: int) -> None:
    with origin.start(limit_bytes=limit_bytes) as process:
        said, _ = process.communicate()
    assert process.returncode == 1
    full = (
        r"regioncache: .*no space left for .*validation: the disk became full.*Free space on that disk.*goes on where it stopped"
    )
    assert re.search(full, said), said
    assert not origin.out.exists()
    origin.run()
    origin.assert_whole()


def test_without_its_environment_or_a_way_out_the_error_says_what_to_do(origin: Origin) -> None:
    nowhere = origin.out.with_name("python")
    with pytest.raises(FetchError, match=r"there is no FiftyOne here\. Make its environment with `make \.venv-fiftyone/ready`"):
        fetch_with_fiftyone("validation", origin.out, python=nowhere, log=lambda _: None)
    with pytest.raises(FetchError, match="because offline is set"):
        fetch_with_fiftyone("validation", origin.out, python=origin.python, offline=True, log=lambda _: None)
    with pytest.raises(FetchError, match=r"No module named 'fiftyone'; make the environment with"):
        fetch_with_fiftyone("validation", origin.out, python=Path(sys.executable), log=lambda _: None)


def test_a_zip_that_was_not_extracted_to_its_end_is_fetched_again(origin: Origin) -> None:
    part = origin.out.with_name("validation.part")
    (part / "labels/masks/3").mkdir(parents=True)
    (part / "labels/masks/3.zip").write_bytes(contents()[ZIP])
    (part / "data").mkdir()
    (part / "data" / f"{IDS[0]}.jpg").write_bytes(photo(0)[:-40])
    (part / "data" / f"{IDS[1]}.jpg.6eF2").write_bytes(b"half")
    origin.run()
    origin.assert_whole()


def test_the_workflow_builds_a_cache_of_what_fiftyone_fetches(origin: Origin, tmp_path: Path) -> None:
    workspace = make_workspace(
        tmp_path / "workspace",
        tokenizers={},
        fetch={"mirrors_of": {"openimages_fiftyone": [f"{origin.server.url}/"]}, "tries": 2, "timeout_s": 10},
    )
    entry = yaml.safe_load((ENTRIES / "openimages_fiftyone.yaml").read_text())
    entry["splits"] = {"validation": entry["splits"]["validation"] | {"expected_images": len(IDS), "shards": 2}}
    (workspace.catalog / "openimages_fiftyone.yaml").write_text(yaml.safe_dump(entry))
    (workspace.folder / ".venv-fiftyone").symlink_to(origin.python.parents[1])  # made already, in minutes
    os.utime(workspace.folder / "envs/fiftyone.txt", (0, 0))
    origin.serve(BOXES, ONCE["a cut connection"])
    workspace.snakemake("cache_openimages_fiftyone")
    rows = sample_rows(workspace.cache_dir / "openimages_fiftyone/validation")
    assert {row["file_name"]: row["image"]["bytes"] for row in rows} == {
        f"{one}.jpg": contents()[f"/open-images-dataset/validation/{one}.jpg"] for one in IDS
    }
    assert [row["box_xyxy"] for row in rows] == [[pytest.approx([5, 8, 25, 24])]] * len(IDS)  # of 50 x 40 pixels
    with Image.open(io.BytesIO(PNG)) as small:
        mask = np.asarray(small.resize((50, 40), Image.Resampling.NEAREST), np.uint8, order="F")
    segmentations = {row["file_name"]: row["segmentation"] for row in rows}
    assert segmentations.pop(f"{IDS[3]}.jpg") == [pycoco.encode(mask)["counts"].decode()]
    assert {one for found in segmentations.values() for one in found} == {""}


def test_the_first_photos_are_enough_for_a_trial(origin: Origin) -> None:
    origin.run(max_images=3)
    assert sorted(one.stem for one in (origin.out / "data").iterdir()) == sorted(IDS)[:3]
