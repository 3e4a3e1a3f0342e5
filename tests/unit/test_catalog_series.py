"""What entries say beyond single archives: series, folders, files placed by hand, options, guards; and that all entries agree."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from regioncache.catalog import Archive, Dataset, Folder
from regioncache.entries import load_catalog, load_dataset_entry, load_entries
from regioncache.errors import ConfigError
from regioncache.sources import SOURCES
from regioncache.steps.inputs import SplitInputs

if TYPE_CHECKING:
    from collections.abc import Callable

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
ENTRIES = sorted((WORKFLOW / "catalog").rglob("*.yaml"))
SCHEMA = yaml.safe_load((WORKFLOW / "schemas" / "catalog.schema.yaml").read_text())


def series_entry() -> dict[str, Any]:
    """An entry with one series, one folder and one file placed by hand."""
    return {
        "name": "patches",
        "title": "Patches",
        "format": "table",
        "homepage": "https://example.org",
        "licence": {"annotations": "CC0", "images": "CC0"},
        "citation": "none",
        "exif": "ignore",
        "task_type": "caption",
        "archives": {
            "table": {"path": "patches/table.jsonl", "kind": "file", "by_hand": "ask the authors"},
            "patch": {
                "path": "patches/patch{n}.tar.gz",
                "kind": "gzip",
                "numbers": [9, 11],
                "urls": ["https://a.org/{n}/patch{n:05d}.tar.gz", "https://b.org/patch_{n:02d}.tar.gz"],
                "local": "mine/{n}.tar.gz",
            },
            "extra": {"path": "patches/extra.tar", "kind": "folder", "local": "more photos"},
        },
        "splits": {
            "train": {
                "shards": 2,
                "files": {"table": {"archive": "table"}},
                "folders": {"images": [{"archive": "patch", "prefix": "images/"}, {"archive": "extra"}]},
            }
        },
    }


def write(folder: Path, value: object, name: str = "entry.yaml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def fits_schema(entry: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(entry)


def test_a_series_becomes_its_archives_in_order_with_their_numbers_filled_in(tmp_path: Path) -> None:
    entry = series_entry()
    assert fits_schema(entry)
    dataset = load_dataset_entry(write(tmp_path, entry))
    assert list(dataset.archives) == ["table", "patch_9", "patch_10", "patch_11", "extra"]
    assert dataset.archives["patch_10"] == Archive(
        path="patches/patch10.tar.gz",
        kind="gzip",
        urls=("https://a.org/10/patch00010.tar.gz", "https://b.org/patch_10.tar.gz"),
        local="mine/10.tar.gz",
    )
    assert dataset.archives["patch_9"].urls == ("https://a.org/9/patch00009.tar.gz", "https://b.org/patch_09.tar.gz")


def test_a_folder_that_names_a_series_means_all_of_it_in_its_place(tmp_path: Path) -> None:
    split = load_dataset_entry(write(tmp_path, series_entry())).splits["train"]
    patches = tuple(Folder(archive=f"patch_{n}", prefix="images/") for n in (9, 10, 11))
    assert split.folder_parts("images") == (*patches, Folder(archive="extra"))
    assert split.folder_parts("masks") == ()
    assert split.archive_keys() == ["table", "patch_9", "patch_10", "patch_11", "extra"]


def test_a_series_of_one_and_a_number_from_zero_are_series(tmp_path: Path) -> None:
    entry = series_entry()
    entry["archives"]["patch"]["numbers"] = [0, 0]
    assert [key for key in load_dataset_entry(write(tmp_path, entry)).archives if "patch" in key] == ["patch_0"]


def spoil_url(entry: dict[str, Any]) -> None:
    entry["archives"]["patch"]["urls"][1] = "https://b.org/patch.tar.gz"


# What the schema can say too is refused by both.
BAD_FOR_BOTH: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "one number": (
        lambda e: e["archives"]["patch"].update(numbers=[3]),
        r"archives\.patch\.numbers: Expected `array` of length 2",
    ),
    "a negative number": (
        lambda e: e["archives"]["patch"].update(numbers=[-1, 3]),
        r"archives\.patch\.numbers\[0\]: .* found -1",
    ),
    "no folder in a list": (
        lambda e: e["splits"]["train"]["folders"].update(images=[]),
        r"splits\.train\.folders\.images: Expected `array` of length >= 1, found \[\]",
    ),
    "a bad folder in a list": (
        lambda e: e["splits"]["train"]["folders"]["images"][1].update(prefx="x"),
        r"splits\.train\.folders\.images\[1\]: Object contains unknown field `prefx`",
    ),
    "an empty reason": (lambda e: e["archives"]["table"].update(by_hand=""), r"archives\.table\.by_hand: .* length >= 1"),
    "an archive from nowhere": (
        lambda e: e["archives"]["table"].pop("by_hand"),
        r"archives\.table: Object needs `urls`, `local` or `by_hand`",
    ),
    "an address for a folder": (
        lambda e: e["archives"]["extra"].update(urls=["https://a.org/x"]),
        r"archives\.extra: Object is a folder, which needs `local` and has no `urls`",
    ),
    "a folder by hand": (
        lambda e: e["archives"].update(extra={"path": "x.tar", "kind": "folder", "by_hand": "ask"}),
        r"archives\.extra: Object is a folder, which needs `local`",
    ),
    "a size of a series": (
        lambda e: e["archives"]["patch"].update(bytes=5),
        r"archives\.patch: Object is a series, whose archives have no",
    ),
    "a checksum of a series": (
        lambda e: e["archives"]["patch"].update(sha256="0" * 64),
        r"archives\.patch: Object is a series, whose archives have no",
    ),
    "a series of one name": (
        lambda e: e["archives"]["patch"].update(path="patch.tar"),
        r"archives\.patch: .* needs `{n}` in its `path`",
    ),
    "a series at one address": (spoil_url, r"archives\.patch: .*needs `{n}` in its `path`, its `urls`"),
    "a series of one local file": (
        lambda e: e["archives"]["patch"].update(local="a.tar.gz"),
        r"archives\.patch: .*needs `{n}` in .* its `local`",
    ),
    "a number of unknown form": (lambda e: e["archives"]["patch"].update(path="a{n:x}.tar"), r"archives\.patch: .* needs `{n}`"),
    "a size that is trusted": (
        lambda e: e.update(size_mismatch="ignore"),
        "size_mismatch: Expected one of reject, trust_image, found 'ignore'",
    ),
    "images without regions": (
        lambda e: e.update(images_without_regions=True),
        "images_without_regions: Expected .* found True",
    ),
    "a kind of archive": (
        lambda e: e["archives"]["extra"].update(kind="rar"),
        "archives.extra.kind: Expected one of zip, tar, gzip, file, folder, found 'rar'",
    ),
    "a guard without a label": (lambda e: e.update(guards={"": {"archive": "table"}}), "guards: Expected `str` of length >= 1"),
    "the second guard": (
        lambda e: e.update(guards={"refcoco/unc": {"archive": "table"}, "b": {"archiv": "table"}}),
        r"guards\.b: Object contains unknown field `archiv`",
    ),
    "a key of the options": (lambda e: e.update(options=[1]), "options: Expected `object`, got `array`"),
}


@pytest.mark.parametrize("case", BAD_FOR_BOTH)
def test_a_bad_entry_is_refused_by_the_schema_and_by_the_loader(case: str, tmp_path: Path) -> None:
    spoil, message = BAD_FOR_BOTH[case]
    entry = series_entry()
    spoil(entry)
    with pytest.raises(ConfigError, match=message):
        load_dataset_entry(write(tmp_path, entry))
    assert not fits_schema(entry)


def clash(name: str) -> Callable[[dict[str, Any]], object]:
    def spoil(entry: dict[str, Any]) -> None:
        extra = {**entry["archives"]["extra"], "path": "another.tar"}
        series = entry["archives"].pop("patch")
        before = {name: extra} if name == "patch_9" else {}
        entry["archives"] = {**before, "patch": series, name: extra, **entry["archives"]}

    return spoil


# What takes two places of an entry to see.
BAD_FOR_THE_LOADER: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "numbers that fall": (lambda e: e["archives"]["patch"].update(numbers=[3, 2]), "needs `numbers` in rising order"),
    "a series of files": (
        lambda e: e["splits"]["train"]["files"]["table"].update(archive="patch"),
        r"splits\.train\.files names the series patch, expected a single archive",
    ),
    "a series that guards": (
        lambda e: e.update(guards={"x": {"archive": "patch"}}),
        "guards names the series patch, expected a single archive",
    ),
    "a name before the series": (clash("patch_9"), r"archives\.patch_9 is there already, and the series patch gives it again"),
    "a name behind the series": (clash("patch_11"), r"archives\.patch_11 is there already, and the series patch gives it again"),
    "a guard from nowhere": (
        lambda e: e.update(guards={"x": {"archive": "refs"}}),
        "guards reads from archive 'refs', expected one of: table, patch, extra",
    ),
    "a folder from nowhere": (
        lambda e: e["splits"]["train"]["folders"]["images"].append({"archive": "patch_9"}),
        r"splits\.train reads from archive 'patch_9', expected one of: table, patch, extra",
    ),
}


@pytest.mark.parametrize("case", BAD_FOR_THE_LOADER)
def test_an_entry_whose_parts_do_not_fit_is_refused_by_the_loader(case: str, tmp_path: Path) -> None:
    spoil, message = BAD_FOR_THE_LOADER[case]
    entry = series_entry()
    spoil(entry)
    path = write(tmp_path, entry)
    with pytest.raises(ConfigError, match=message) as caught:
        load_dataset_entry(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_two_entries_may_share_an_archive_only_if_they_mean_the_same(tmp_path: Path) -> None:
    first, second = series_entry(), {**series_entry(), "name": "others"}
    write(tmp_path, first, "a.yaml")
    path = write(tmp_path, second, "b.yaml")
    assert list(load_catalog([tmp_path])) == ["others", "patches"]
    # The key may be another, and a single archive may be one of a series.
    second["archives"]["patch"]["numbers"] = [12, 13]
    second["archives"]["ninth"] = {
        "path": "patches/patch9.tar.gz",
        "kind": "gzip",
        "urls": ["https://a.org/9/patch00009.tar.gz", "https://b.org/patch_09.tar.gz"],
        "local": "mine/9.tar.gz",
    }
    write(tmp_path, second, "b.yaml")
    assert len(load_catalog([tmp_path])) == 2
    second["archives"]["ninth"]["sha256"] = "0" * 64
    write(tmp_path, second, "b.yaml")
    with pytest.raises(ConfigError) as caught:
        load_catalog([tmp_path])
    assert str(caught.value) == (
        f"{path}: archives.ninth has the same path as archives.patch_9 of {tmp_path / 'a.yaml'}, patches/patch9.tar.gz, but"
        " other facts; make both equal, or give one another path"
    )


def test_entries_come_with_their_files_whatever_those_are_called(tmp_path: Path) -> None:
    entry = series_entry()
    # A file with the name of another dataset must not be taken for it.
    mine = write(tmp_path, entry, "others.yaml")
    entry["name"], entry["archives"]["extra"]["path"] = "others", "patches/others.tar"
    theirs = write(tmp_path, entry, "what.yml")
    assert {name: path for name, (path, _) in load_entries([tmp_path]).items()} == {"others": theirs, "patches": mine}


def test_options_of_a_split_go_over_those_of_the_dataset(tmp_path: Path) -> None:
    entry = series_entry()
    entry["options"] = {"image": "path", "boxes": ""}
    entry["splits"]["train"]["options"] = {"boxes": "rects"}
    entry["splits"]["test"] = {**copy.deepcopy(entry["splits"]["train"]), "options": {}}
    dataset = load_dataset_entry(write(tmp_path, entry))
    assert dataset.options_of("train") == {"image": "path", "boxes": "rects"}
    assert dataset.options_of("test") == {"image": "path", "boxes": ""}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bxes": "x"}, r"patches, split train: options of the format table: .*unknown field `bxes`"),
        ({"boxes": 3}, r"Expected `str`, got `int` - at `\$\.boxes`"),
        ({"width": "w"}, "both `width` and `height`, or none"),
    ],
)
def test_options_that_a_format_does_not_have_are_an_error_of_the_entry(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    dataset = load_dataset_entry(write(tmp_path, {**series_entry(), "options": options}))
    with pytest.raises(ConfigError, match=message):
        SplitInputs(dataset, "train", tmp_path, tmp_path).options()


# All entries of the project.


@pytest.fixture(scope="module")
def datasets() -> dict[str, Dataset]:
    """Every entry, the variants too."""
    return load_catalog([WORKFLOW / "catalog", WORKFLOW / "catalog" / "variants"])


def test_no_two_entries_disagree_about_an_archive(datasets: dict[str, Dataset]) -> None:
    assert sorted(datasets) == sorted(path.stem for path in ENTRIES)


@pytest.mark.parametrize("name", [path.stem for path in ENTRIES])
def test_an_entry_gives_its_format_what_it_needs(name: str, datasets: dict[str, Dataset], tmp_path: Path) -> None:
    dataset = datasets[name]
    source = SOURCES[dataset.format]
    for split_name, split in dataset.splits.items():
        inputs = SplitInputs(dataset, split_name, tmp_path, tmp_path).of_shard(0)
        assert isinstance(inputs.options(), source.Options)
        needs = source.NEEDS
        assert set(needs.files) <= set(split.files)
        assert {"images", *needs.folders} <= set(split.folders) <= {"images", *needs.folders, *needs.optional_folders}
        assert inputs.folders().keys() == split.folders.keys()


@pytest.mark.parametrize("name", [path.stem for path in ENTRIES])
def test_every_archive_of_an_entry_is_read_by_a_split_or_a_guard(name: str, datasets: dict[str, Dataset]) -> None:
    dataset = datasets[name]
    used = {key for split in dataset.splits.values() for key in split.archive_keys() if key in dataset.archives}
    used |= {
        key
        for name, split in dataset.splits.items()
        if split.stream is not None
        for shard in range(split.shard_count)
        for key in dataset.shard_split(name, shard).archive_keys()
    }
    assert used | {member.archive for member in dataset.guards.values()} == set(dataset.archives)


@pytest.mark.parametrize("name", [path.stem for path in ENTRIES])
def test_only_training_splits_with_coco_ids_are_guarded_and_guards_are_labelled_by_their_dataset(
    name: str, datasets: dict[str, Dataset]
) -> None:
    dataset = datasets[name]
    for split_name, split in dataset.splits.items():
        assert not split.leakage_guard or split_name.endswith("train")
        assert not split.leakage_guard or dataset.coco_image_ids or dataset.format == "visual_genome"
    assert {label.partition("/")[0] for label in dataset.guards} <= {name}


def test_the_training_splits_of_coco_and_visual_genome_are_guarded_by_three_sets(datasets: dict[str, Dataset]) -> None:
    guarded = {name for name, dataset in datasets.items() if any(split.leakage_guard for split in dataset.splits.values())}
    assert {"coco_panoptic", "coco_instance", "coco_caption", "visual_genome"} <= guarded
    assert not guarded & {"refclef", "demo", "objects365", "v3det", "ade20k_panoptic", "sbu"}
    assert {name for name, dataset in datasets.items() if dataset.guards} == {"refcoco", "refcoco_plus", "refcocog"}
