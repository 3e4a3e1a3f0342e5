"""CPU time of the build's own steps on drawn archives, beside the parts that no build can leave out."""

from __future__ import annotations

import io
import json
import shutil
import time
import zipfile
from typing import TYPE_CHECKING

from benchmarks.measure import Scale, Table, cpu_rates
from benchmarks.panoptic import decode_png, ids_of
from benchmarks.vocabulary import MAX_LENGTH
from regioncache.cache.layout import TOKENIZER_NAME
from regioncache.catalog import Archive, Dataset, Folder, Licence, Member, Split
from regioncache.demo import draw_demo_archives
from regioncache.encode.tokenizer_file import open_tokenizer
from regioncache.panoptic_runs import label_runs
from regioncache.steps.convert import convert_shard
from regioncache.steps.parse import parse_annotations
from regioncache.steps.paths import BuildPaths, tokens_kind
from regioncache.steps.row_maker import ConvertOptions
from regioncache.steps.tokenize import resolve_tokenizer, tokenize_shard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.stores import Stores
    from regioncache.steps.row_maker import Storage

_NAME = "bench"
_ANNOTATIONS, _PNGS = "annotations/panoptic_train2017.json", "annotations/panoptic_train2017.zip"


def tables(stores: Stores, scale: Scale) -> list[Table]:
    """Milliseconds of CPU time per image."""
    paths = _prepared(stores.root.parent / "build", scale.build_images, str(stores.vocabulary))
    images = scale.build_images
    parts = _Parts(paths)
    load_s = _load_s(paths)
    work: dict[str, Callable[[], int]] = {
        "png": parts.decode,
        "kernel": parts.kernel,
        "tokens": parts.tokens,
        "original": _build(paths, "original", images),
        "reference": _build(paths, "reference", images),
        "no_map": _build(paths, "original", images, label_map=False),
    }
    ms = {key: 1000 / rate for key, rate in cpu_rates(work, scale.pace).items()}
    table = Table("build", f"building a shard of {images} drawn images (convert, tokenize)", beside="needed")
    for key, title in (
        ("png", "needed: decode of the PNG (Pillow)"),
        ("kernel", "needed: kernel, label_runs(ids).segments()"),
        ("tokens", "needed: tokens of the phrases"),
    ):
        table.add(key, title, ms[key], "ms/image")
    table.add("needed", "needed, in all", ms["png"] + ms["kernel"] + ms["tokens"], "ms/image")
    note = f"without loading the tokenizer, {load_s * 1000:.0f} ms a shard"
    for key, title in (
        ("original", "regioncache: convert with image.storage original, and tokenize"),
        ("reference", "regioncache: convert with image.storage reference, and tokenize"),
        ("no_map", "regioncache: the same with image.storage original and without label maps"),
    ):
        table.add(key, title, ms[key] - load_s * 1000 / images, "ms/image", note)
    return [table]


def _prepared(root: Path, images: int, vocabulary: str) -> BuildPaths:
    """Drawn archives, parsed annotations and a tokenizer's snapshot."""
    drawn = root / f"drawn_{images}"
    names = {"images": "train2017.zip", "panoptic": "panoptic_annotations_trainval2017.zip"}
    if not (drawn / names["panoptic"]).exists():
        draw_demo_archives(drawn, train_images=images, val_images=1)
    split = Split(
        shards=1,
        files={"annotations": Member(archive="panoptic", member=_ANNOTATIONS)},
        folders={
            "images": Folder(archive="images", prefix="train2017/"),
            "panoptic": Folder(archive="panoptic", nested=_PNGS, prefix="panoptic_train2017/"),
        },
    )
    dataset = Dataset(
        name=_NAME,
        title="Drawn scenes",
        format="coco_panoptic",
        homepage="",
        licence=Licence(annotations="CC0 1.0", images="CC0 1.0"),
        citation="none",
        exif="ignore",
        task_type="recognition",
        archives={key: Archive(path=name, kind="zip", local=str(drawn / name)) for key, name in names.items()},
        splits={"train": split},
    )
    paths = BuildPaths(dataset, "train", drawn, root / f"work_{images}", root / f"cache_{images}")
    parse_annotations(paths.inputs, paths.annotations)
    resolve_tokenizer(vocabulary, revision=None, template="sca", max_length=MAX_LENGTH, folder=paths.tokenizer(_NAME))
    return paths


class _Parts:
    """What every build of these archives must do, with the bytes and texts already in memory."""

    def __init__(self, paths: BuildPaths) -> None:
        with zipfile.ZipFile(paths.inputs.readable("panoptic")) as archive:
            annotations = json.loads(archive.read(_ANNOTATIONS))
            with zipfile.ZipFile(io.BytesIO(archive.read(_PNGS))) as pngs:
                self._pngs = [pngs.read(name) for name in pngs.namelist()]
        names = {one["id"]: one["name"] for one in annotations["categories"]}
        segments = [segment for image in annotations["annotations"] for segment in image["segments_info"]]
        self._phrases = [names[segment["category_id"]] for segment in segments]
        self._maps = [ids_of(decode_png(png)) for png in self._pngs]
        self._tokenizer = open_tokenizer(paths.tokenizer(_NAME) / TOKENIZER_NAME)

    def decode(self) -> int:
        for png in self._pngs:
            decode_png(png)
        return len(self._pngs)

    def kernel(self) -> int:
        for ids in self._maps:
            label_runs(ids).segments()
        return len(self._maps)

    def tokens(self) -> int:
        self._tokenizer.encode(self._phrases, template="sca", max_length=MAX_LENGTH)
        return len(self._maps)


def _load_s(paths: BuildPaths) -> float:
    """CPU seconds to load the tokenizer's snapshot, once a shard whatever its size."""
    times = []
    for _ in range(3):
        start = time.process_time()
        open_tokenizer(paths.tokenizer(_NAME) / TOKENIZER_NAME).encode(["a"], template="sca", max_length=MAX_LENGTH)
        times.append(time.process_time() - start)
    return sorted(times)[1]


def _build(paths: BuildPaths, storage: Storage, images: int, *, label_map: bool = True) -> Callable[[], int]:
    kind = tokens_kind(_NAME)

    def do() -> int:
        shutil.rmtree(paths.cache, ignore_errors=True)
        samples = paths.samples(0)
        convert_shard(
            paths.inputs,
            0,
            annotations=paths.annotations,
            out=samples,
            report_path=paths.report("samples", 0),
            options=ConvertOptions(storage, label_map=label_map),
        )
        tokenize_shard(samples, paths.tokenizer(_NAME), out=paths.part(kind, 0), report_path=paths.report(kind, 0))
        return images

    return do
