"""Steps ``tokenizer`` and ``tokenize``: a tokenizer to a snapshot, and a shard's phrases to token ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow.parquet as pq

from regioncache.atomic import write_json
from regioncache.cache.layout import META_NAME, TOKENIZER_NAME
from regioncache.cache.open_rows import footer_metadata
from regioncache.cache.writer import ShardWriter
from regioncache.encode.tokenizer_file import open_tokenizer, save_tokenizer
from regioncache.encode.tokens import Tokenizer, load_tokenizer
from regioncache.errors import TokenizerError
from regioncache.hashing import content_key
from regioncache.schema import SCHEMA_VERSION, TOKENS
from regioncache.sources.reports import Report
from regioncache.steps.shard_report import KEY, is_done, write_shard_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION = 1
Template = Literal["sca", "plain"]


def resolve_tokenizer(spec: str, *, revision: str | None, template: Template, max_length: int, folder: Path) -> bool:
    """Load a tokenizer, by network if it must, and keep a snapshot that the other steps load offline.

    Args:
        spec: ``byt5``, a hub name, or a local folder or file.
        revision: a hub revision, or None.
        template: how phrases become sequences.
        max_length: longest sequence.
        folder: where the snapshot, ``tokenizer.zip``, and ``meta.json`` go; ``meta.json`` is written last.

    Returns:
        Whether the snapshot changed.

    Raises:
        TokenizerError: it cannot be loaded, or does not fit the template.
    """
    tokenizer = load_tokenizer(spec, revision=revision)
    meta = {
        "key": tokenizer.fingerprint(template, max_length),
        "spec": spec,
        "template": template,
        "max_length": max_length,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "padding_side": tokenizer.padding_side,
    }
    path, saved = folder / META_NAME, folder / TOKENIZER_NAME
    if path.exists() and saved.exists() and json.loads(path.read_bytes()) == meta:
        return False
    save_tokenizer(tokenizer, saved)
    write_json(path, meta)
    return True


def tokenize_shard(
    samples: Path,
    tokenizer_folder: Path,
    *,
    out: Path,
    report_path: Path,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Tokenize all phrases of all regions of a shard.

    Args:
        samples: the shard of samples.
        tokenizer_folder: the snapshot of ``resolve_tokenizer``.
        out: the side-car's shard.
        report_path: its report.
        progress: called with (rows done, rows of the shard).

    Returns:
        Whether anything was done; False where ``out`` stands already.

    Raises:
        TokenizerError: the snapshot's files are not those that its ``meta.json`` was written for.
    """
    meta = json.loads((tokenizer_folder / META_NAME).read_bytes())
    template, max_length = meta["template"], meta["max_length"]
    key = content_key("tokenize", VERSION, samples=footer_metadata(samples)[KEY], tokenizer=meta["key"])
    if is_done(report_path, out, key):
        return False
    tokenizer = open_tokenizer(tokenizer_folder / TOKENIZER_NAME)
    found = tokenizer.fingerprint(template, max_length)
    if found != meta["key"]:
        raise TokenizerError(
            f"{tokenizer_folder}: the tokenizer's files changed (expected key {meta['key']}, found {found}). Delete the"
            " folder and run the same command again"
        )
    metadata = {KEY: key, "regioncache.schema_version": str(SCHEMA_VERSION), "regioncache.tokenizer_key": found}
    report = Report()
    with pq.ParquetFile(samples, pre_buffer=False) as file:
        rows = file.metadata.num_rows
        with ShardWriter(out, TOKENS, metadata, row_group_rows=_rows_of_group(file)) as writer:
            done = 0
            for group in range(file.metadata.num_row_groups):
                table = file.read_row_group(group, columns=["image_id", "phrases"], use_threads=False)
                done += _tokenize_group(table.to_pydict(), tokenizer, template, max_length, writer, report)
                if progress is not None:
                    progress(done, rows)
    write_shard_report(report_path, out, key, rows, report)
    return True


def _rows_of_group(file: pq.ParquetFile) -> int:
    return max(file.metadata.row_group(0).num_rows, 1) if file.metadata.num_row_groups else 1


def _tokenize_group(
    columns: dict[str, list[Any]],
    tokenizer: Tokenizer,
    template: Template,
    max_length: int,
    writer: ShardWriter,
    report: Report,
) -> int:
    images = columns["phrases"]
    texts = [phrase for image in images for region in image for phrase in region]
    ids, lengths = tokenizer.encode(texts, template=template, max_length=max_length)
    text_at = id_at = 0
    for image_id, image in zip(columns["image_id"], images, strict=True):
        phrase_count = np.array([len(region) for region in image], np.int32)
        token_count = lengths[text_at : text_at + int(phrase_count.sum())]
        total = int(token_count.sum())
        writer.append(
            {
                "image_id": image_id,
                "phrase_count": phrase_count,
                "token_count": token_count,
                "input_ids": ids[id_at : id_at + total],
            }
        )
        text_at += len(token_count)
        id_at += total
    report.count("tokens", len(ids))
    return len(images)
