"""A dataset of one's own is one more YAML file; its tokens follow a tokenizer in a local folder."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from built_cache import build
from pack_archives import fetched_paths, panoptic_entry, write_entry
from regioncache import ParquetRegionDataset
from regioncache.cache.verify import verify_cache
from regioncache.demo.annotations import CATEGORIES
from regioncache.errors import TokenizerError
from workspace import Workspace, assert_same_files, file_bytes, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

PAD, EOS, UNKNOWN = 0, 1, 2


def write_tokenizer(folder: Path, words: list[str]) -> dict[str, int]:
    """A tokenizer of whole words, numbered in this order; its vocabulary."""
    vocabulary = {"<pad>": PAD, "</s>": EOS, "[UNK]": UNKNOWN} | {word: k for k, word in enumerate(words, 3)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106  (a token of text)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<pad>", "</s>"])
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return vocabulary


def words_of_the_demo() -> list[str]:
    return sorted({word for category in CATEGORIES for word in category.name.split()})


def check_tokens(cache: Path, vocabulary: dict[str, int]) -> None:
    dataset = ParquetRegionDataset(cache, tokens="words", image=None)
    for sample in (dataset[k] for k in range(len(dataset))):
        expected = [[*(vocabulary[word] for word in text.split()), EOS] for text in sample["metadata_captions"]]
        assert sample["input_ids_length"].tolist() == [len(ids) for ids in expected]
        assert sample["input_ids"].tolist() == [one for ids in expected for one in ids]
        assert (sample["tokenizer"].pad_token_id, sample["tokenizer"].eos_token_id) == (PAD, EOS)


@pytest.fixture(scope="module")
def mine(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the project's catalog and a folder of one's own, and a tokenizer of one's own."""
    workspace = make_workspace(
        tmp_path_factory.mktemp("mine"),
        catalog_dirs=["workflow/catalog", "sets of mine"],
        tokenizers={"words": {"spec": "words", "template": "sca", "max_length": 20}},
    )
    entry = panoptic_entry(drawn, name="my_scenes", shards={"val": 2}, expected_categories=None)
    write_entry(workspace.folder / "sets of mine", entry)
    write_tokenizer(workspace.folder / "words", words_of_the_demo())
    workspace.snakemake("cache_my_scenes")
    return workspace


def test_one_more_yaml_is_one_more_target(mine: Workspace) -> None:
    cache = mine.cache_dir / "my_scenes" / "val"
    assert verify_cache(cache, full=True)["rows"] == 4
    rows = [row for part in sorted((cache / "samples").glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    assert {row["source"] for row in rows} == {"my_scenes"}
    assert json.loads((cache / "index.json").read_text())["dataset"] == "my_scenes"
    check_tokens(cache, {"</s>": EOS} | {word: k for k, word in enumerate(words_of_the_demo(), 3)})


def test_a_comment_in_an_entry_makes_nothing_again_and_a_citation_only_publishes(mine: Workspace) -> None:
    entry = mine.folder / "sets of mine" / "my_scenes.yaml"
    entry.write_text(entry.read_text() + "\n# photos of last summer\n")
    assert "Nothing to be done" in mine.snakemake("cache_my_scenes")
    entry.write_text(yaml.safe_dump(yaml.safe_load(entry.read_text()) | {"citation": "someone, somewhere"}))
    plan = mine.snakemake("-n", "cache_my_scenes")
    assert "rule publish_split:" in plan
    assert "rule convert_shard:" not in plan
    assert "rule parse_annotations:" not in plan
    mine.snakemake("cache_my_scenes")


def test_an_edited_tokenizer_makes_new_tokens_and_touches_nothing_else(
    mine: Workspace, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = mine.cache_dir / "my_scenes" / "val"
    kept = [path for folder in ("samples", "prompts") for path in (cache / folder).rglob("part-*")]
    before = {path: path.stat().st_mtime_ns for path in kept}
    vocabulary = write_tokenizer(mine.folder / "words", words_of_the_demo()[::-1])
    mine.snakemake("cache_my_scenes")
    check_tokens(cache, vocabulary)
    assert verify_cache(cache, full=True)["rows"] == 4
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    entry = panoptic_entry(drawn, name="my_scenes", shards={"val": 2}, expected_categories=None)
    monkeypatch.chdir(mine.folder)
    fresh = build(fetched_paths(tmp_path, entry, "val"), tokenizers={"words": "words"})
    assert_same_files(cache / "tokens" / "words", file_bytes(fresh / "tokens" / "words"))


def test_tokens_of_another_tokenizer_than_their_description_are_refused(mine: Workspace, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(mine.cache_dir / "my_scenes" / "val", cache)
    meta = cache / "tokens" / "words" / "meta.json"
    described = json.loads(meta.read_text())
    found = described["key"]
    described["key"] = "0" * 64
    meta.write_text(json.dumps(described))
    with pytest.raises(TokenizerError, match=f"{meta}: the tokenizer changed .*expected key {found}, found {'0' * 64}"):
        ParquetRegionDataset(cache, tokens="words")
    # A lone file of samples has no index, so the tokens' own footer decides.
    part = next((cache / "samples").glob("*.parquet"))
    with pytest.raises(TokenizerError, match=f"made with another tokenizer than {meta} says"):
        ParquetRegionDataset(part, tokens="words")[0]


def test_a_name_that_is_taken_is_refused_with_both_files(mine: Workspace, drawn: Path) -> None:
    folder = mine.folder / "taken"
    write_entry(folder, panoptic_entry(drawn, name="demo", shards={"val": 1}))
    (mine.folder / "taken.yaml").write_text("catalog_dirs: [workflow/catalog, taken]\n")
    done = mine.run([*mine.snakemake_command("-n", "cache_demo"), "taken.yaml"], ok=False)
    assert done.returncode != 0
    assert "taken/demo.yaml: name: 'demo' is already the name of workflow/catalog/demo.yaml" in done.stdout
