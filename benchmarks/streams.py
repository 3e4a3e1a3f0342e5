"""One tar of SA1B-Cap with its TSV files: time and memory while it is converted; and the plan of a thousand tars.

``python -m benchmarks.streams WAY FOLDER IMAGES`` is the measured process, one per way.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.examples import draw_examples
from benchmarks.made_sets import sa1b_lines
from benchmarks.measure import Scale, Table
from benchmarks.processes import measured, memory_bytes
from regioncache.catalog import Archive, Dataset, Folder, Licence, Member, Split
from regioncache.steps.convert import convert_shard
from regioncache.steps.parse import parse_annotations
from regioncache.steps.paths import BuildPaths
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from benchmarks.stores import Stores

_MIB = 1 << 20
_PROJECT = Path(__file__).resolve().parents[1]
_SCENES = 40
_TAR, _ANNOTATIONS, _CAPTIONS = "sa_000000.tar", "sa_000000.tar.tsv", "sa_000000.tar.captions.tsv"
_TENTHS = (1, 5, 10)
_PLANS = {"tars_11": "0-10", "tars_1000": "all"}


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Images per second, memory on the way, and seconds of a dry run."""
    folder = stores.root.parent / f"tar_{scale.stream_images}"
    if not (folder / _TAR).exists():
        _write(folder, scale.stream_images)
    sizes = {name: (folder / name).stat().st_size for name in (_TAR, _ANNOTATIONS)}
    what = (
        f"a tar of {scale.stream_images:,} images, {sizes[_TAR] / 1e9:.2f} GB, with {sizes[_ANNOTATIONS] / 1e9:.2f} GB of masks"
    )
    times = Table("stream_time", f"converting {what}, image.storage original", beside="ours")
    memory = Table("stream_memory", f"private memory while converting {what}")
    found = {way: measured("benchmarks.streams", way, str(folder), str(scale.stream_images)) for way in _WAYS}
    for way, one in found.items():
        times.add(way, _TITLES[way], scale.stream_images / one["cpu_s"], "images/s", f"{one['cpu_s']:.1f} s in all")
    for tenth, private in zip(_TENTHS, found["ours"]["on_the_way_bytes"], strict=True):
        memory.add(f"ours_{tenth}", f"regioncache, after {tenth * 10} % of the images", private / _MIB, "MiB")
    for way, one in found.items():
        before = f"{one['before_bytes'] / _MIB:,.0f} MiB before it began"
        memory.add(way, f"{_TITLES[way]}, at most", one["private_bytes"] / _MIB, "MiB", before)
    return [times, memory, _plans()]


def _plans() -> Table:
    table = Table("stream_plan", "`snakemake -n cache_sa1b_cap`: seconds until every job is planned, wall time")
    for key, tars in _PLANS.items():
        start = time.perf_counter()
        command = [str(Path(sys.executable).with_name("snakemake")), "-n", "cache_sa1b_cap", "--config", f"tars={tars}"]
        done = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
        jobs = re.findall(r"^total +(\d+)$", done.stdout, re.MULTILINE)
        table.add(key, f"tars: {tars}", seconds, "s", f"{jobs[0] if jobs else 'no'} jobs")
    return table


def _write(folder: Path, images: int) -> None:
    """Drawn scenes again and again under numbers of their own; the tar last, as what says that all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = draw_examples(min(images, _SCENES), min(images, _SCENES))
    with (
        tarfile.open(folder / f"{_TAR}.part", "w") as tar,
        (folder / _ANNOTATIONS).open("wb") as annotations,
        (folder / _CAPTIONS).open("wb") as captions,
    ):
        for k in range(images):
            one = replace(scenes[k % len(scenes)], image_id=k)
            for suffix, data in (("jpg", one.jpeg), ("json", b"{}")):
                info = tarfile.TarInfo(f"./sa_{k}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            lines = sa1b_lines([one])
            annotations.write(lines["annotations"])
            captions.write(lines["captions"])
    (folder / f"{_TAR}.part").replace(folder / _TAR)


def _dataset() -> Dataset:
    archives = {
        "tars_0": Archive(path=_TAR, kind="tar", local=_TAR),
        "lines_0": Archive(path=_ANNOTATIONS, kind="file", local=_ANNOTATIONS),
        "captions_0": Archive(path=_CAPTIONS, kind="file", local=_CAPTIONS),
    }
    split = Split(
        stream=(0, 0),
        files={"annotations": Member(archive="lines"), "captions": Member(archive="captions")},
        folders={"images": Folder(archive="tars")},
    )
    return Dataset(
        name="sa1b_cap",
        title="SA1B-Cap",
        format="sa1b",
        homepage="",
        licence=Licence(annotations="CC0 1.0", images="CC0 1.0"),
        citation="none",
        exif="ignore",
        task_type="caption",
        archives=archives,
        splits={"train": split},
    )


def _convert(folder: Path, images: int) -> list[int]:
    """Both steps; private memory after each of ``_TENTHS``."""
    paths = BuildPaths(_dataset(), "train", folder, folder / "work", folder / "cache")
    paths.annotations_of(0).unlink(missing_ok=True)
    paths.samples(0).unlink(missing_ok=True)
    on_the_way: list[int] = []

    def look(done: int, rows: int) -> None:
        if len(on_the_way) < len(_TENTHS) and done >= rows * _TENTHS[len(on_the_way)] // 10:
            on_the_way.append(memory_bytes()["RssAnon"])

    parse_annotations(paths.inputs.of_shard(0), paths.annotations_of(0))
    convert_shard(
        paths.inputs,
        0,
        annotations=paths.annotations_of(0),
        out=paths.samples(0),
        report_path=paths.report("samples", 0),
        options=ConvertOptions("original", preset="sa1b_cap"),
        progress=look,
    )
    if len(on_the_way) != len(_TENTHS):
        raise RuntimeError(f"{len(on_the_way)} looks at the memory of {images} images")
    return on_the_way


def _dicts(folder: Path, images: int) -> list[int]:
    """segment-caption-anything's way before its first image: every line of masks and captions as Python values, by its key."""
    tables: list[dict[str, Any]] = []
    for name in (_ANNOTATIONS, _CAPTIONS):
        with (folder / name).open() as lines:
            tables.append({key: json.loads(value) for key, _, value in (line.partition("\t") for line in lines)})
    if len({key.partition("-")[0] for key in tables[0]}) != images:
        raise RuntimeError("lines of other images")
    return []


_WAYS = {"ours": _convert, "dicts": _dicts}
_TITLES = {
    "ours": "regioncache: parse and convert",
    "dicts": "the TSV files as dicts of Python values, before the first image (json)",
}


def _main(way: str, folder: str, images: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before = memory_bytes()["RssAnon"]
    start = time.process_time()
    on_the_way = _WAYS[way](Path(folder), int(images))
    cpu_s = time.process_time() - start
    print(json.dumps({"cpu_s": cpu_s, "on_the_way_bytes": on_the_way, "before_bytes": before}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
