"""Verbs of the build: each is one rule of the workflow, and runs without it just as well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regioncache.atomic import write_json
from regioncache.catalog import TaskType  # noqa: TC001  (typer reads it)
from regioncache.cli.progress import progress_bar
from regioncache.demo import draw_demo_archives
from regioncache.encode.prompts import use_one_thread
from regioncache.entries import load_dataset_entry
from regioncache.errors import ConfigError
from regioncache.selection import selected_shards
from regioncache.steps.convert import convert_shard
from regioncache.steps.guard import list_guarded_images
from regioncache.steps.inputs import SplitInputs
from regioncache.steps.parse import parse_annotations
from regioncache.steps.paths import BuildPaths, guard_path, prompts_kind, tokens_kind
from regioncache.steps.prompt import prompt_shard
from regioncache.steps.publish import RejectBudget, publish_split
from regioncache.steps.row_maker import ConvertOptions, Storage
from regioncache.steps.tokenize import Template, resolve_tokenizer, tokenize_shard

Entry = Annotated[Path, typer.Argument(help="Catalog entry of the dataset, a YAML file.", exists=True, dir_okay=False)]
Split = Annotated[str, typer.Argument(help="Split of the dataset, such as train.")]
Shard = Annotated[int, typer.Argument(help="Shard of the split, from 0.", min=0)]
Archives = Annotated[Path, typer.Option("--archives", help="Folder of the fetched archives.")]
Work = Annotated[Path, typer.Option("--work", help="Folder of parsed annotations, tokenizers and reports.")]
Cache = Annotated[Path, typer.Option("--cache", help="Folder of the caches.")]

ARCHIVES, WORK, CACHE = Path(".data/archives"), Path(".data/work"), Path(".data.cache")


def _paths(entry: Path, split: str, archives: Path, work: Path, cache: Path) -> BuildPaths:
    return BuildPaths(load_dataset_entry(entry), split, archives, work, cache)


def _say(did: bool, what: str) -> None:
    typer.echo(f"{what}: {'written' if did else 'stands already, nothing to do'}", err=True)


def inflate(
    entry: Entry,
    archive: Annotated[str, typer.Argument(help="Key of a compressed archive in the catalog entry.")],
    archives: Archives = ARCHIVES,
    work: Work = WORK,
) -> None:
    """Inflate one compressed archive, so that the steps that read it find it ready."""
    dataset = load_dataset_entry(entry)
    known = [key for key, one in dataset.archives.items() if one.kind == "gzip"]
    if archive not in known:
        raise ConfigError(f"{entry}: there is no compressed archive {archive!r}; it has {', '.join(known) or 'none'}")
    inputs = SplitInputs(dataset, next(iter(dataset.splits)), archives, work / "spool")
    inflated = inputs.readable(archive)
    write_json(work / "inflated" / f"{dataset.archives[archive].path}.json", {"file": str(inflated)})
    typer.echo(inflated)


def guard(
    entries: Annotated[
        list[Path] | None, typer.Argument(help="Catalog entries with `guards`; none gives an empty list.", exists=True)
    ] = None,
    archives: Archives = ARCHIVES,
    work: Work = WORK,
) -> None:
    """List the photos of validation and test sets that no guarded training split may hold."""
    out = guard_path(work)
    datasets = [load_dataset_entry(entry) for entry in entries or ()]
    did = list_guarded_images(datasets, archives_dir=archives, spool_dir=work / "spool", out=out)
    _say(did, str(out))


def parse(
    entry: Entry,
    split: Split,
    archives: Archives = ARCHIVES,
    work: Work = WORK,
    cache: Cache = CACHE,
    shard: Annotated[
        int | None, typer.Option(help="Shard of a streamed split whose archives have annotation files of their own.", min=0)
    ] = None,
    leakage_guard: Annotated[
        bool, typer.Option(help="Leave out the photos that `guard` lists, where the entry says so.")
    ] = False,
) -> None:
    """Decode a split's annotation files, once, into a table that every shard maps."""
    paths = _paths(entry, split, archives, work, cache)
    guard_file = guard_path(work) if leakage_guard else None
    if paths.inputs.parses_shards != (shard is not None):
        needs = "needs --shard: its shards have" if shard is None else "takes no --shard: its shards have no"
        raise ConfigError(f"{entry}: split {split} {needs} annotation files of their own")
    inputs, out = (
        (paths.inputs, paths.annotations) if shard is None else (paths.inputs.of_shard(shard), paths.annotations_of(shard))
    )
    _say(parse_annotations(inputs, out, guard=guard_file), str(out))


def convert(
    entry: Entry,
    split: Split,
    shard: Shard,
    archives: Archives = ARCHIVES,
    work: Work = WORK,
    cache: Cache = CACHE,
    storage: Annotated[Storage, typer.Option(help="What is kept of an image.")] = "auto",
    frame_px: Annotated[int, typer.Option(help="Longest side beyond which images are shrunk.", min=1)] = 1024,
    check: Annotated[str, typer.Option(help="header, or decode: decode every image once.")] = "header",
    max_pixels: Annotated[int, typer.Option(help="Larger images are rejected.", min=1)] = 178_956_970,
    label_map: Annotated[bool, typer.Option(help="Keep the map of disjoint regions.")] = True,
    row_group_rows: Annotated[int, typer.Option(help="Rows of a row group.", min=1, max=256)] = 64,
    preset: Annotated[str, typer.Option(help="Filters of regions: raw, usable, densecap or grit.")] = "usable",
    task_type: Annotated[TaskType | None, typer.Option(help="In place of the entry's own.")] = None,
) -> None:
    """Make one shard of samples."""
    if check not in ("header", "decode"):
        raise ConfigError(f"--check {check!r} is none of header, decode")
    paths = _paths(entry, split, archives, work, cache)
    options = ConvertOptions(
        storage,
        frame_px,
        "decode" if check == "decode" else "header",
        max_pixels,
        label_map,
        row_group_rows,
        preset,
        task_type,
    )
    with progress_bar(f"{paths.dataset.name} {split} {shard}") as progress:
        did = convert_shard(
            paths.inputs,
            shard,
            annotations=paths.annotations_of(shard),
            out=paths.samples(shard),
            report_path=paths.report("samples", shard),
            options=options,
            progress=progress,
        )
    _say(did, str(paths.samples(shard)))


def tokenizer(
    name: Annotated[str, typer.Argument(help="Name of the side-car, such as byt5-sca-20.")],
    spec: Annotated[str, typer.Argument(help="byt5, a hub name, or a local folder or file.")],
    work: Work = WORK,
    template: Annotated[Template, typer.Option(help="sca: cut to max_length - 2 and add EOS; plain: cut.")] = "sca",
    max_length: Annotated[int, typer.Option(help="Longest sequence.", min=3)] = 20,
    revision: Annotated[str | None, typer.Option(help="Revision on the hub.")] = None,
) -> None:
    """Load a tokenizer and keep a snapshot, which every other step loads offline."""
    folder = work / "tokenizers" / name
    did = resolve_tokenizer(spec, revision=revision, template=template, max_length=max_length, folder=folder)
    _say(did, str(folder))


def tokenize(
    entry: Entry,
    split: Split,
    shard: Shard,
    name: Annotated[str, typer.Argument(help="Name of the tokens side-car.")],
    work: Work = WORK,
    cache: Cache = CACHE,
) -> None:
    """Tokenize one shard's phrases."""
    paths = _paths(entry, split, ARCHIVES, work, cache)
    kind = tokens_kind(name)
    with progress_bar(f"{paths.dataset.name} {split} {shard} {kind}") as progress:
        did = tokenize_shard(
            paths.samples(shard),
            paths.tokenizer(name),
            out=paths.part(kind, shard),
            report_path=paths.report(kind, shard),
            progress=progress,
        )
    _say(did, str(paths.part(kind, shard)))


def prompt(
    entry: Entry,
    split: Split,
    shard: Shard,
    frame: Annotated[str, typer.Argument(help="sam or square.")],
    work: Work = WORK,
    cache: Cache = CACHE,
    points: Annotated[int, typer.Option(help="Points per region.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the points beyond the first.", min=0)] = 0,
) -> None:
    """Make one shard's points and low-resolution masks."""
    paths = _paths(entry, split, ARCHIVES, work, cache)
    kind = prompts_kind(frame)
    use_one_thread()
    with progress_bar(f"{paths.dataset.name} {split} {shard} {kind}") as progress:
        did = prompt_shard(
            paths.samples(shard),
            frame,
            points_per_region=points,
            seed=seed,
            out=paths.part(kind, shard),
            report_path=paths.report(kind, shard),
            progress=progress,
        )
    _say(did, str(paths.part(kind, shard)))


def publish(
    entry: Entry,
    split: Split,
    archives: Archives = ARCHIVES,
    work: Work = WORK,
    cache: Cache = CACHE,
    tokens: Annotated[list[str] | None, typer.Option(help="Name of a tokens side-car; repeatable.")] = None,
    prompts: Annotated[list[str] | None, typer.Option(help="Frame of a prompts side-car; repeatable.")] = None,
    tars: Annotated[str, typer.Option(help="Numbers of a streamed split's archives: 0-10, or 0-3,8, or all.")] = "all",
    reject_budget: Annotated[float, typer.Option(help="Largest share of images that may be rejected.", min=0, max=1)] = 0.001,
    region_budget: Annotated[float, typer.Option(help="Largest share of regions that may be rejected.", min=0, max=1)] = 0.01,
) -> None:
    """Write rejects, statistics and, last, the index of a split."""
    paths = _paths(entry, split, archives, work, cache)
    stream = paths.inputs.split.stream
    stats = publish_split(
        paths,
        tokenizers=tokens or [],
        frames=prompts or [],
        budget=RejectBudget(reject_budget, region_budget),
        shards=None if stream is None else selected_shards(tars, stream),
    )
    counts = stats["counts"]
    typer.echo(
        f"{paths.cache}: {counts['images']} of {counts['images_listed']} images, {counts.get('regions', 0)} regions,"
        f" {counts['rejects']} rejects"
    )
    for reason, times in stats["rejects"].items():
        typer.echo(f"  rejected {times}: {reason}")


def draw_demo(
    folder: Annotated[Path, typer.Argument(help="Where the archives go.")],
    train_images: Annotated[int, typer.Option(min=1)] = 64,
    val_images: Annotated[int, typer.Option(min=1)] = 16,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Draw the demo's panoptic scenes and pack them as the official archives are."""
    with progress_bar("drawing scenes") as progress:
        draw_demo_archives(folder, train_images=train_images, val_images=val_images, seed=seed, progress=progress)
