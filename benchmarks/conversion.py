"""CPU time of converting each format, beside decoding what it is made from."""

from __future__ import annotations

import csv
import json
import pickle
from typing import TYPE_CHECKING, Any

import simplejpeg
from pycocotools import mask as pycoco

from benchmarks.examples import draw_examples
from benchmarks.made_sets import MadeSet, make_sets
from benchmarks.measure import Scale, Table, cpu_rates
from benchmarks.panoptic import decode_png
from regioncache.fetch.record import archive_sha256
from regioncache.steps.convert import convert_shard
from regioncache.steps.parse import parse_annotations
from regioncache.steps.paths import BuildPaths
from regioncache.steps.row_maker import ConvertOptions
from regioncache.steps.shard_report import read_shard_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.examples import Example
    from benchmarks.stores import Stores

_SCENES = 40
_WITH_POLYGONS = ("coco_instance", "refcoco")


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Milliseconds of CPU time per image, of both steps that make samples, and of the decoding of their inputs."""
    examples = draw_examples(scale.build_images, min(scale.build_images, _SCENES))
    folder = stores.root.parent / f"sets_{scale.build_images}"
    sets = make_sets(examples, folder)
    work: dict[str, Callable[[], int]] = {"photos": _photos(examples)}
    for kind, made in sets.items():
        paths = BuildPaths(made.dataset, "train", folder, folder / "work", folder / "cache")
        for archive in made.dataset.archives.values():
            archive_sha256(folder / archive.path)  # a fetch leaves it beside the archive
        work[f"{kind} ours"] = _conversion(paths, len(examples))
        work[f"{kind} texts"] = _texts(made, len(examples))
        if made.maps:
            work[f"{kind} maps"] = _maps(made, len(examples))
        if kind in _WITH_POLYGONS:
            work[f"{kind} maps"] = _polygons(made, len(examples))
    ms = {key: 1000 / rate for key, rate in cpu_rates(work, scale.pace).items()}
    table = Table(
        "conversion", f"parsing and converting {len(examples)} drawn images of 20 to 50 regions, image.storage original"
    )
    table.add("photos", "decode of the photos (libjpeg-turbo), which no conversion here needs", ms["photos"], "ms/image")
    for kind, made in sets.items():
        inputs = ms[f"{kind} texts"] + ms.get(f"{kind} maps", 0.0)
        masks = f", {'PNGs' if made.maps else 'polygons'} {ms[f'{kind} maps']:.2f}" if f"{kind} maps" in ms else ""
        parts = f"texts {ms[f'{kind} texts']:.2f}{masks}"
        whole = ms[f"{kind} ours"] / (inputs + ms["photos"])
        note = f"decode of its inputs: {parts} ms, so {whole:.2f} of them with the photo"
        table.add(kind, f"regioncache: {kind}", ms[f"{kind} ours"], "ms/image", note)
    return [table]


def _conversion(paths: BuildPaths, images: int) -> Callable[[], int]:
    def do() -> int:
        paths.annotations.unlink(missing_ok=True)
        parse_annotations(paths.inputs, paths.annotations)
        paths.samples(0).unlink(missing_ok=True)
        convert_shard(
            paths.inputs,
            0,
            annotations=paths.annotations,
            out=paths.samples(0),
            report_path=paths.report("samples", 0),
            options=ConvertOptions("original"),
        )
        done = read_shard_report(paths.report("samples", 0)).entry.rows
        if done != images:
            raise AssertionError(f"{paths.dataset.name}: {done} of {images} images were converted")
        return images

    return do


def _photos(examples: Sequence[Example]) -> Callable[[], int]:
    def do() -> int:
        for one in examples:
            simplejpeg.decode_jpeg(one.jpeg, "RGB")
        return len(examples)

    return do


def _texts(made: MadeSet, images: int) -> Callable[[], int]:
    """Python's own decoders, one pass over each annotation file."""

    def do() -> int:
        for text in made.texts:
            _decoded(text)
        return images

    return do


def _decoded(text: bytes) -> Any:  # noqa: ANN401  (whatever the file holds)
    if text.startswith(b"\x80"):
        return pickle.loads(text)  # noqa: S301  (written by this run)
    lines = text.splitlines()
    if b"\t" in lines[0]:
        return [json.loads(line.partition(b"\t")[2]) for line in lines]
    if text[:1] not in (b"{", b"["):
        return list(csv.reader(text.decode().splitlines()))
    return [json.loads(line) for line in lines] if len(lines) > 1 else json.loads(text)


def _maps(made: MadeSet, images: int) -> Callable[[], int]:
    def do() -> int:
        for png in made.maps:
            decode_png(png)
        return images

    return do


def _polygons(made: MadeSet, images: int) -> Callable[[], int]:
    """The peer's way from polygons to run lengths, one region after the other."""
    document = json.loads(made.texts[0])
    sizes = {one["id"]: (one["height"], one["width"]) for one in document["images"]}
    regions = [(one["segmentation"], *sizes[one["image_id"]]) for one in document["annotations"]]

    def do() -> int:
        for polygons, height, width in regions:
            pycoco.merge(pycoco.frPyObjects(polygons, height, width))
        return images

    return do
