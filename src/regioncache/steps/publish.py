"""Step ``publish``: gather what the shards' steps left, write rejects, statistics and, last, ``index.json``."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from regioncache.atomic import atomic_path, write_bytes, write_json
from regioncache.cache.housekeeping import collect, is_of_count, unlisted_shards
from regioncache.cache.index import CacheIndex, SidecarEntry, write_index
from regioncache.cache.layout import (
    META_NAME,
    PROMPTS,
    REJECTS_NAME,
    SAMPLES,
    STATS_NAME,
    TOKENIZER_NAME,
    TOKENS,
    sidecar_folder,
)
from regioncache.cache.open_rows import check_token_key
from regioncache.errors import CacheError, RejectBudgetError
from regioncache.hashing import content_key, sha256_file
from regioncache.schema import ON_PURPOSE, REJECTS
from regioncache.sources.reports import Report
from regioncache.steps.parse import parsed_archives
from regioncache.steps.parsed_report import ELSEWHERE, parsed_report
from regioncache.steps.paths import prompts_kind, tokens_kind
from regioncache.steps.shard_report import ShardReport, read_shard_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from regioncache.steps.inputs import SplitInputs
    from regioncache.steps.paths import BuildPaths

_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "pyarrow", "pycocotools", "regioncache", "simplejpeg")


@dataclass(frozen=True, slots=True)
class RejectBudget:
    """The largest shares of a split's listed images and regions that may be rejected; see ``schema.ON_PURPOSE``."""

    images: float = 0.0
    regions: float = 0.0


def publish_split(
    paths: BuildPaths,
    *,
    tokenizers: Sequence[str],
    frames: Sequence[str],
    budget: RejectBudget,
    shards: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Publish one split.

    Args:
        paths: the split and its folders.
        tokenizers: names of the tokens side-cars.
        frames: names of the prompts side-cars.
        budget: the largest shares of images and of regions that may be rejected.
        shards: of a streamed split, those that the cache is made of; None for all.

    Returns:
        The contents of ``stats.json``.

    Raises:
        RejectBudgetError: more was rejected; the rejects are in ``work/rejects.parquet``, and nothing is published.
        CacheError: a shard is missing or was changed after its step.
    """
    inputs, cache = paths.inputs, paths.cache
    shards = range(inputs.split.shard_count) if shards is None else shards
    samples = _reports(paths, SAMPLES, shards)
    tokens = {name: _reports(paths, tokens_kind(name), shards) for name in tokenizers}
    prompts = {name: _reports(paths, prompts_kind(name), shards) for name in frames}
    total = _total(parsed_report(paths, samples, shards), samples, tokens, prompts)
    stats = _stats(inputs, total)
    _write_rejects(paths.work / REJECTS_NAME, inputs.split_name, total)
    _check_budget(inputs, total, budget, paths.work / REJECTS_NAME)
    for name in tokenizers:
        for shard in shards:
            check_token_key(paths.part(tokens_kind(name), shard), _tokenizer_key(paths.tokenizer(name)))
        _copy_tokenizer(paths.tokenizer(name), sidecar_folder(cache, TOKENS, name))
    _write_rejects(cache / REJECTS_NAME, inputs.split_name, total)
    write_json(cache / STATS_NAME, stats)
    index = CacheIndex(
        dataset=inputs.dataset.name,
        split=inputs.split_name,
        key=content_key("publish", 1, samples=[one.key for one in samples]),
        shards=[one.entry for one in samples],
        tokens={
            name: SidecarEntry(_tokenizer_key(paths.tokenizer(name)), [one.entry for one in found])
            for name, found in tokens.items()
        },
        prompts={
            name: SidecarEntry(content_key("prompts", 1, shards=[one.key for one in found]), [one.entry for one in found])
            for name, found in prompts.items()
        },
        counts=total.counts,
        licence={"annotations": inputs.dataset.licence.annotations, "images": inputs.dataset.licence.images},
        provenance=_provenance(paths, samples, shards),
        archives_dir=os.path.relpath(inputs.archives_dir.absolute(), cache.absolute()),
        small_files=_small_files(cache, tokenizers),
    )
    write_index(cache, index)
    collect([path for path in unlisted_shards(cache, index) if not is_of_count(path, inputs.split.shard_count)])
    return stats


def _reports(paths: BuildPaths, kind: str, shards: Sequence[int]) -> list[ShardReport]:
    found = []
    for shard in shards:
        report = read_shard_report(paths.report(kind, shard))
        path = paths.part(kind, shard)
        size = path.stat().st_size if path.exists() else None
        if size != report.entry.bytes:
            raise CacheError(
                path,
                "changed after it was built" if size is not None else "missing",
                expected=f"{report.entry.bytes} bytes",
                found=f"{size} bytes",
                remedy="Delete it and run the same command again",
            )
        found.append(report)
    return found


def _total(
    parsed: Report,
    samples: list[ShardReport],
    tokens: Mapping[str, list[ShardReport]],
    prompts: Mapping[str, list[ShardReport]],
) -> Report:
    total = Report(list(parsed.rejects), dict(parsed.counts))
    for one in samples:
        total.add(one.report)
    for kind, sidecars in ((TOKENS, tokens), (PROMPTS, prompts)):
        for side, reports in sidecars.items():
            for one in reports:
                for name, amount in one.report.counts.items():
                    total.count(f"{kind}/{side}/{name}", amount)
    total.rejects.sort(key=lambda one: (one.image_id, one.region_id, one.reason))
    total.counts["rejects"] = len(total.rejects)
    total.counts.setdefault("images", 0)
    return total


def _stats(inputs: SplitInputs, total: Report) -> dict[str, Any]:
    return {
        "dataset": inputs.dataset.name,
        "split": inputs.split_name,
        "counts": total.counts,
        "expected_images": inputs.split.expected_images,
        "rejects": dict(sorted(Counter(one.reason for one in total.rejects).items())),
    }


def _write_rejects(path: Path, split: str, total: Report) -> None:
    rows = [
        {
            "split": split,
            "image_id": one.image_id,
            "region_id": one.region_id,
            "file_name": one.file_name,
            "reason": one.reason,
            "detail": one.detail,
        }
        for one in total.rejects
    ]
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=REJECTS), temporary)


def _check_budget(inputs: SplitInputs, total: Report, budget: RejectBudget, where: Path) -> None:
    faults = [one for one in total.rejects if one.reason not in ON_PURPOSE]
    images = {one.image_id for one in faults if one.region_id < 0}
    regions = [one for one in faults if one.region_id >= 0]
    images_listed = total.counts["images_listed"] - total.counts.get(ELSEWHERE, 0)
    regions_listed = total.counts.get("regions_listed", total.counts.get("regions", 0) + len(regions))
    for key, what, share, rejected, listed in (
        ("budget", "images", budget.images, len(images), images_listed),
        ("region_budget", "regions", budget.regions, len(regions), regions_listed),
    ):
        if rejected > share * listed and rejected / max(listed, 1) > share:  # one of the two may round the wrong way
            of_kind = [one for one in faults if (one.region_id < 0) == (what == "images")]
            reasons = Counter(one.reason for one in of_kind).most_common(4)
            raise RejectBudgetError(
                f"{inputs.dataset.name}, split {inputs.split_name}: {rejected} of {listed} {what} were rejected, which is more"
                f" than rejects.{key} allows (expected at most {share * listed:g}, found {rejected}):"
                f" {', '.join(f'{reason} {times}' for reason, times in reasons)}. Look at {where}, then mend the archives, or"
                f" raise rejects.{key} in config.yaml if the loss is acceptable, for all datasets or for this one"
            )


def _tokenizer_key(snapshot: Path) -> str:
    key: str = json.loads((snapshot / META_NAME).read_bytes())["key"]
    return key


def _copy_tokenizer(snapshot: Path, folder: Path) -> None:
    """Keep the tokenizer beside its tokens, so that the cache can be decoded without the build's folders."""
    for name in (TOKENIZER_NAME, META_NAME):
        write_bytes(folder / name, (snapshot / name).read_bytes())


def _small_files(cache: Path, tokenizers: Sequence[str]) -> dict[str, str]:
    paths = [cache / REJECTS_NAME, cache / STATS_NAME]
    for name in tokenizers:
        folder = sidecar_folder(cache, TOKENS, name)
        paths += [folder / META_NAME, folder / TOKENIZER_NAME]
    return {str(path.relative_to(cache)): sha256_file(path) for path in paths}


def _provenance(paths: BuildPaths, samples: Sequence[ShardReport], shards: Sequence[int]) -> dict[str, Any]:
    """What the steps wrote down of the archives that they read, which may be gone by now, or on another machine."""
    dataset = paths.dataset
    sha256s: dict[str, str] = {}
    for table in dict.fromkeys(map(paths.annotations_of, shards)):
        sha256s |= parsed_archives(table)
    for one in samples:
        sha256s |= one.archives
    return {
        "archives": {
            dataset.archives[key].path: {"sha256": sha256, "urls": list(dataset.archives[key].urls)}
            for key, sha256 in sha256s.items()
        },
        "homepage": dataset.homepage,
        "packages": {name: version(name) for name in _PACKAGES},
    }
