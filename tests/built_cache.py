"""A real cache, built step by step from drawn archives without Snakemake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from regioncache.demo import draw_demo_archives
from regioncache.entries import load_dataset_entry
from regioncache.fetch.archive import fetch_archive
from regioncache.steps.convert import convert_shard
from regioncache.steps.parse import parse_annotations
from regioncache.steps.paths import BuildPaths, prompts_kind, tokens_kind
from regioncache.steps.prompt import prompt_shard
from regioncache.steps.publish import RejectBudget, publish_split
from regioncache.steps.row_maker import ConvertOptions
from regioncache.steps.tokenize import resolve_tokenizer, tokenize_shard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ENTRY = """\
name: made
title: Drawn scenes
format: coco_panoptic
homepage: https://example.org
licence: {{annotations: CC0, images: CC0}}
citation: none
exif: ignore
task_type: recognition
archives:
  train_images: {{path: made/train2017.zip, kind: zip, local: {folder}/train2017.zip}}
  val_images: {{path: made/val2017.zip, kind: zip, local: {folder}/val2017.zip}}
  panoptic: {{path: made/panoptic.zip, kind: zip, local: {folder}/panoptic_annotations_trainval2017.zip}}
splits:
  train:
    shards: {shards}
    files:
      annotations: {{archive: panoptic, member: annotations/panoptic_train2017.json}}
    folders:
      images: {{archive: train_images, prefix: train2017/}}
      panoptic: {{archive: panoptic, nested: annotations/panoptic_train2017.zip, prefix: panoptic_train2017/}}
  val:
    shards: 1
    files:
      annotations: {{archive: panoptic, member: annotations/panoptic_val2017.json}}
    folders:
      images: {{archive: val_images, prefix: val2017/}}
      panoptic: {{archive: panoptic, nested: annotations/panoptic_val2017.zip, prefix: panoptic_val2017/}}
"""


def draw_and_fetch(folder: Path, *, train_images: int = 12, val_images: int = 3, shards: int = 3) -> BuildPaths:
    """Draw archives, write a catalog entry for them, and fetch them; the paths of the train split."""
    draw_demo_archives(folder / "drawn", train_images=train_images, val_images=val_images)
    (folder / "catalog").mkdir()
    entry = folder / "catalog" / "made.yaml"
    entry.write_text(ENTRY.format(folder=folder / "drawn", shards=shards))
    paths = BuildPaths(load_dataset_entry(entry), "train", folder / "archives", folder / "work", folder / "cache")
    for archive in paths.dataset.archives.values():
        fetch_archive(archive, paths.archives_dir / archive.path, log=lambda _: None)
    return paths


def build(
    paths: BuildPaths,
    *,
    options: ConvertOptions | None = None,
    tokenizers: dict[str, str] | None = None,
    frames: Sequence[str] = ("sam",),
    points_per_region: int = 1,
    reject_budget: float = 0.0,
    region_budget: float = 0.0,
    guard: Path | None = None,
    shards: Sequence[int] | None = None,
) -> Path:
    """Build one split, or some shards of a stream; ``tokenizers`` maps side-car names to specs. Returns the cache's folder."""
    names = {"byt5-sca-20": "byt5"} if tokenizers is None else tokenizers
    shards = range(paths.inputs.split.shard_count) if shards is None else shards
    if not paths.inputs.parses_shards:
        parse_annotations(paths.inputs, paths.annotations, guard=guard)
    for name, spec in names.items():
        resolve_tokenizer(spec, revision=None, template="sca", max_length=20, folder=paths.tokenizer(name))
    for shard in shards:
        samples = paths.samples(shard)
        if paths.inputs.parses_shards:
            parse_annotations(paths.inputs.of_shard(shard), paths.annotations_of(shard))
        convert_shard(
            paths.inputs,
            shard,
            annotations=paths.annotations_of(shard),
            out=samples,
            report_path=paths.report("samples", shard),
            options=options or ConvertOptions(),
        )
        for name in names:
            kind = tokens_kind(name)
            tokenize_shard(samples, paths.tokenizer(name), out=paths.part(kind, shard), report_path=paths.report(kind, shard))
        for frame in frames:
            kind = prompts_kind(frame)
            prompt_shard(
                samples,
                frame,
                points_per_region=points_per_region,
                seed=0,
                out=paths.part(kind, shard),
                report_path=paths.report(kind, shard),
            )
    budget = RejectBudget(reject_budget, region_budget)
    publish_split(paths, tokenizers=list(names), frames=list(frames), budget=budget, shards=shards)
    return paths.cache


def sample_rows(cache: Path) -> list[dict[str, Any]]:
    """Every row of ``samples`` as plain Parquet tools read it."""
    return [row for part in sorted((cache / "samples").glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
