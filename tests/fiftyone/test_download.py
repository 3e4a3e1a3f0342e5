"""Open Images through FiftyOne's own downloader against a mirror that misbehaves, killed and started again."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import regioncache.fetch.fiftyone as program
from fault_server import HTML, Fault, FaultServer, ServedFile, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = [f"{digit}0000000000000{k:02x}" for k, digit in enumerate("0123456789abcdef0123")]
MASK = f"{IDS[3]}_m0abc_01234567.png"
LIMIT_S = 120


def photo(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


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
        "v5/class-descriptions-boxable.csv": b"/m/0abc,Cat\n/m/0def,Dog\n",
        "v5/classes-segmentation.txt": b"/m/0abc\n",
        "2018_04/bbox_labels_600_hierarchy.json": json.dumps({"LabelName": "/m/0bl9f", "Subcategory": []}).encode(),
        "2018_04/validation/validation-images-with-rotation.csv": images.encode(),
        "v5/validation-annotations-bbox.csv": boxes.encode(),
        "v5/validation-annotations-object-segmentation.csv": masks.encode(),
    }
    png = io.BytesIO()
    Image.fromarray(np.eye(8, dtype=np.bool_)).save(png, "PNG")
    for digit in "0123456789abcdef":
        members = {MASK: png.getvalue()} if digit == IDS[3][0] else {"readme.txt": b"none"}
        files[f"v5/validation-masks/validation-masks-{digit}.zip"] = zipped(members)
    found = {f"/openimages/{name}": data for name, data in files.items()}
    return found | {f"/open-images-dataset/validation/{one}.jpg": photo(k) for k, one in enumerate(IDS)}


@dataclass
class Origin:
    """The mirror, and the program that fetches from it."""

    server: FaultServer
    files: dict[str, ServedFile]
    python: Path
    out: Path

    def serve(self, path: str, *faults: Fault, every: Fault | None = None) -> ServedFile:
        """Serve a file again, with faults."""
        _, self.files[path] = self.server.serve(path, contents()[path], *faults, every=every)
        return self.files[path]

    def command(self, *more: str) -> list[str]:
        return [
            str(self.python),
            "-P",
            str(Path(program.__file__)),
            str(self.out),
            "--split",
            "validation",
            "--mirror",
            self.server.url,
            "--workers",
            "2",
            *more,
        ]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.out.parent / "home"), "LC_ALL": "C.UTF-8"}

    def run(self, *more: str, ok: bool = True) -> str:
        done = subprocess.run(
            self.command(*more),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (done.returncode == 0) == ok, done.stdout
        return done.stdout

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
def origin(fiftyone_python: Path, tmp_path: Path) -> Iterator[Origin]:
    with serving() as server:
        found = Origin(server, {}, fiftyone_python, tmp_path / "validation")
        for path in contents():
            found.serve(path)
        yield found


BOXES = "/openimages/v5/validation-annotations-bbox.csv"
CLASSES = "/openimages/v5/class-descriptions-boxable.csv"
ZIP = "/openimages/v5/validation-masks/validation-masks-3.zip"
PHOTO, OTHER_PHOTO = (f"/open-images-dataset/validation/{one}.jpg" for one in IDS[5:7])


def test_a_split_is_fetched_and_a_second_run_asks_for_nothing(origin: Origin) -> None:
    origin.run()
    origin.assert_whole()
    asked = {path: len(file.queries) for path, file in origin.files.items()}
    assert "whole already" in origin.run()
    assert {path: len(file.queries) for path, file in origin.files.items()} == asked


def test_cut_short_and_refused_files_are_fetched_again(origin: Origin) -> None:
    origin.serve(BOXES, Fault(cut_after=300))
    origin.serve(CLASSES, Fault(status=500), Fault(length=14))
    origin.serve(ZIP, Fault(cut_after=60), Fault(length=100))
    origin.serve(PHOTO, Fault(cut_after=100))
    origin.serve(OTHER_PHOTO, Fault(length=100))
    origin.run()
    origin.assert_whole()


@pytest.mark.parametrize(
    "fault",
    [Fault(status=403), Fault(status=429), Fault(status=503, retry_after_s=1), Fault(body=HTML)],
    ids=["403", "429", "503 with Retry-After", "a web page"],
)
def test_a_refusal_or_a_page_in_place_of_a_file_is_asked_for_again(origin: Origin, fault: Fault) -> None:
    origin.serve(BOXES, fault)
    origin.run()
    origin.assert_whole()


def test_a_short_text_is_noticed_though_its_last_line_looks_whole(origin: Origin) -> None:
    whole = contents()[BOXES]
    origin.serve(BOXES, Fault(body=whole[: whole.index(b"\n", 500) + 1]))
    origin.run()
    origin.assert_whole()


def test_what_never_comes_is_an_error_and_nothing_has_its_name(origin: Origin) -> None:
    origin.serve(BOXES, every=Fault(status=500))
    printed = origin.run("--tries", "2", ok=False)
    assert "given up after 2 attempts" in printed
    assert not origin.out.exists()


def test_photos_that_are_gone_are_listed_and_the_others_are_there(origin: Origin) -> None:
    gone = [IDS[2], IDS[11]]
    for one in gone:
        origin.serve(f"/open-images-dataset/validation/{one}.jpg", every=Fault(status=404))
    assert "18 of 20 photos" in origin.run()
    origin.assert_whole(*gone)
    assert (origin.out / program.MISSING_NAME).read_text().split() == gone


def test_after_a_kill_what_is_there_is_not_fetched_again(origin: Origin) -> None:
    last = f"/open-images-dataset/validation/{max(IDS)}.jpg"
    slow = origin.serve(last, every=Fault(hang_after=50))
    process = subprocess.Popen(
        origin.command("--workers", "1"), env=origin.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    origin.server.wait_until_sent(slow, 50, LIMIT_S)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not origin.out.exists()
    before = {path: len(file.requests) for path, file in origin.files.items() if path != last}
    assert [path for path, times in before.items() if not times] == []
    origin.serve(last)
    origin.run()
    origin.assert_whole()
    assert {path: len(file.requests) for path, file in origin.files.items() if path != last} == before


def test_a_zip_that_was_not_extracted_to_its_end_is_fetched_again(origin: Origin) -> None:
    part = origin.out.with_name("validation.part")
    (part / "labels/masks/3").mkdir(parents=True)
    (part / "labels/masks/3.zip").write_bytes(contents()[ZIP])
    (part / "data").mkdir()
    (part / "data" / f"{IDS[0]}.jpg").write_bytes(photo(0)[:-40])
    (part / "data" / f"{IDS[1]}.jpg.6eF2").write_bytes(b"half")
    origin.run()
    origin.assert_whole()


def test_the_first_photos_are_enough_for_a_trial(origin: Origin) -> None:
    origin.run("--max-images", "3")
    assert sorted(one.stem for one in (origin.out / "data").iterdir()) == sorted(IDS)[:3]
