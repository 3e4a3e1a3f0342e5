"""The entries that come with the project, and how bad entries are refused: by the loader and by the schema alike."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec
import pytest
import yaml

from regioncache import catalog
from regioncache.entries import load_catalog, load_dataset_entry
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
ENTRIES = sorted((WORKFLOW / "catalog").rglob("*.yaml"))


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    return yaml.safe_load((WORKFLOW / "schemas" / "catalog.schema.yaml").read_text())


@pytest.fixture
def demo() -> dict[str, Any]:
    return yaml.safe_load((WORKFLOW / "catalog" / "demo.yaml").read_text())


def write(folder: Path, value: object, name: str = "entry.yaml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(yaml.safe_dump(value))
    return path


def test_the_schema_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.stem)
def test_every_entry_of_the_project_loads_fits_the_schema_and_is_named_as_its_file(path: Path, schema: dict[str, Any]) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), schema, jsonschema.Draft202012Validator)
    assert load_dataset_entry(path).name == path.stem


def test_coco_panoptic_has_the_published_counts(shared: Path) -> None:
    dataset = load_catalog([WORKFLOW / "catalog"])["coco_panoptic"]
    official = json.loads((shared / "samples" / "coco_panoptic" / "panoptic_coco_categories.json").read_text())
    assert dataset.expected_categories == len(official) == 133
    assert [(name, split.expected_images) for name, split in dataset.splits.items()] == [
        ("train", 118287),
        ("val", 5000),
    ]
    assert dataset.splits["train"].archive_keys() == ["panoptic", "train_images"]
    # 19.3 GB, 0.8 GB and 0.9 GB; every archive that has an address must have what a download is judged by.
    assert [round(archive.bytes or 0, -8) for archive in dataset.archives.values()] == [
        19_300_000_000,
        800_000_000,
        900_000_000,
    ]
    assert all(archive.sha256 for archive in dataset.archives.values())


@pytest.mark.parametrize("name", ["coco_panoptic", "demo"])
def test_each_shard_holds_a_sensible_number_of_images(name: str) -> None:
    for split in load_catalog([WORKFLOW / "catalog"])[name].splits.values():
        assert split.expected_images is not None
        assert 1 <= split.expected_images / split.shards <= 4096


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        (None, catalog.Dataset),
        ("licence", catalog.Licence),
        ("archive", catalog.Archive),
        ("member", catalog.Member),
        ("folder", catalog.Folder),
        ("split", catalog.Split),
    ],
)
def test_the_schema_and_the_loader_know_the_same_keys_and_require_the_same(
    schema: dict[str, Any], part: str | None, kind: type[msgspec.Struct]
) -> None:
    described = schema if part is None else schema["$defs"][part]
    fields = msgspec.structs.fields(kind)
    assert set(described["properties"]) == {field.name for field in fields}
    assert set(described["required"]) == {field.name for field in fields if field.required}
    assert described["additionalProperties"] is False
    assert all("description" in value for value in described["properties"].values())


BAD_ENTRIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "misspelt key": (lambda e: e.update(licens=1), "the whole file: Object contains unknown field `licens`"),
    "missing key": (lambda e: e.pop("licence"), "missing required field `licence`"),
    "choice": (lambda e: e.update(exif="rotate"), "exif: Expected one of ignore, found 'rotate'"),
    "name": (lambda e: e.update(name="My Set"), "name: Expected `str` matching .*, found 'My Set'"),
    "count": (
        lambda e: e["splits"]["val"].update(shards="3"),
        "splits.val.shards: Expected `int \\| null`, got `str`, found '3'",
    ),
    "neither shards nor stream": (
        lambda e: e["splits"]["val"].pop("shards"),
        "splits.val: Object needs either `shards` or `stream`, found a mapping",
    ),
    "shards and stream": (
        lambda e: e["splits"]["val"].update(stream=[0, 1]),
        "splits.val: Object needs either `shards` or `stream`, found a mapping",
    ),
    "half a stream": (
        lambda e: (e["splits"]["val"].pop("shards"), e["splits"]["val"].update(stream=[0])),
        "splits.val.stream: Expected `array` of length 2",
    ),
    "zero": (lambda e: e["splits"]["val"].update(shards=0), "splits.val.shards: Expected `int` >= 1, found 0"),
    "key of a part": (
        lambda e: e["splits"]["val"]["folders"]["images"].update(prefx="x"),
        "splits.val.folders.images: Object contains unknown field `prefx`, found .* archive, prefix, prefx",
    ),
    "no place": (
        lambda e: e["archives"]["panoptic"].pop("local"),
        "archives.panoptic: Object needs `urls`, `local` or `by_hand`",
    ),
    "empty urls": (lambda e: e["archives"]["panoptic"].update(urls=[]), "archives.panoptic.urls: Expected `array` of"),
    "scheme": (
        lambda e: e["archives"]["panoptic"].update(urls=["http://a.org", "ftp://b.org"]),
        r"archives.panoptic.urls\[1\]: Expected `str` matching .*, found 'ftp://b.org'",
    ),
    "checksum": (
        lambda e: e["archives"]["val_images"].update(sha256="A" * 64),
        "archives.val_images.sha256: Expected `str` matching .*, found 'AAA",
    ),
    "unquoted checksum": (
        lambda e: e["archives"]["val_images"].update(sha256=12),
        "archives.val_images.sha256: Expected `str .*`, got `int`, found 12",
    ),
    "absolute": (lambda e: e["archives"]["val_images"].update(path="/etc/x"), "archives.val_images.path: .* '/etc/x'"),
    "climbing": (
        lambda e: e["archives"]["val_images"].update(path="a/../../x"),
        r"archives.val_images.path: .*\.\./x'",
    ),
    "empty archive": (
        lambda e: e["archives"].update(panoptic=None),
        "archives.panoptic: Expected `object`, got `null`",
    ),
    "archive key": (
        lambda e: e["archives"].update({"Bad Key": e["archives"]["panoptic"]}),
        "archives: .*found a mapping with the keys .*Bad Key",
    ),
    "no splits": (
        lambda e: e.update(splits={}),
        "splits: Expected `object` of length >= 1, found a mapping with no key",
    ),
    "list": (lambda e: e.update(archives=[1]), r"archives: Expected `object`, got `array`, found \[1\]"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_a_bad_entry_is_refused_by_the_schema_and_by_the_loader_with_file_key_and_value(
    case: str, demo: dict[str, Any], schema: dict[str, Any], tmp_path: Path
) -> None:
    spoil, message = BAD_ENTRIES[case]
    entry = copy.deepcopy(demo)
    spoil(entry)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(entry, schema, jsonschema.Draft202012Validator)
    path = write(tmp_path, entry)
    with pytest.raises(ConfigError, match=message) as caught:
        load_dataset_entry(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_split_that_reads_from_an_unknown_archive_is_told_the_known_ones(demo: dict[str, Any], tmp_path: Path) -> None:
    demo["splits"]["val"]["folders"]["images"]["archive"] = "valimages"
    with pytest.raises(ConfigError, match=r"splits\.val .*'valimages', expected one of: .*train_images, val_images"):
        load_dataset_entry(write(tmp_path, demo))


@pytest.mark.parametrize("text", ["a: [", "a: \x00", "just words", ""])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "entry.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)):
        load_dataset_entry(path)


def test_a_users_folder_adds_entries_and_the_catalog_is_sorted_by_name(demo: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, {**demo, "name": "a_set_of_mine"}, "mine.yml")
    (tmp_path / "notes.txt").write_text("not an entry")
    names = list(load_catalog([WORKFLOW / "catalog", tmp_path]))
    assert names[0] == "a_set_of_mine"
    assert names == sorted(names)
    assert {"coco_panoptic", "demo"} < set(names)


def test_two_files_of_one_name_are_both_named(demo: dict[str, Any], tmp_path: Path) -> None:
    first = write(tmp_path / "a", demo)
    second = write(tmp_path / "b", demo)
    with pytest.raises(ConfigError) as caught:
        load_catalog([first.parent, second.parent])
    assert str(caught.value) == f"{second}: name: 'demo' is already the name of {first}; rename one of them"


def test_a_missing_folder_is_an_error_and_not_an_empty_catalog(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a catalog folder is expected here"):
        load_catalog([tmp_path / "none"])
