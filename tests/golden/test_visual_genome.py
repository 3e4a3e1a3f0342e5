from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from regioncache.archive import list_members
from regioncache.errors import AnnotationError
from regioncache.sources import visual_genome
from regioncache.sources.places import FolderPart, MemberFolder, place_of
from regioncache.sources.record import AnnotationFile
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.archive import Member
    from regioncache.sources.record import Parsed

ZIPPED = {
    ("visual_genome", "region_descriptions_v1.2.0"): "region_descriptions.json.zip",
    ("visual_genome", "mask_region_descriptions_v0.0.1"): "mask_region_descriptions.json.zip",
    ("visual_genome_v1_0_0", "region_descriptions_v1.0.0"): "region_descriptions_v1.json.zip",
}
SPLITS = {"validation": "val"}


def inflated(path: Path) -> AnnotationFile:
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        return AnnotationFile(f"{path.name}: {name}", archive.read(name))


def plain(path: Path) -> AnnotationFile:
    return AnnotationFile(path.name, path.read_bytes())


def packed(folder: Path, out: Path) -> dict[str, Member]:
    """The photos of a folder as the archive that they are published in."""
    with zipfile.ZipFile(out, "w") as archive:
        for photo in sorted(folder.rglob("*.jpg")):
            archive.write(photo, str(photo.relative_to(folder.parent)))
    return list_members(out)


def assert_equal_to_rows(parsed: Parsed, expected: list[dict[str, Any]], *, has_masks: bool) -> None:
    rows = {row["image_id"]: row for row in parsed.table.to_pylist()}
    assert list(rows) == sorted(one["image_id"] for one in expected)
    report = Report()
    for one in expected:
        row = rows[one["image_id"]]
        found = visual_genome.regions_of(row, {}.__getitem__, {}, report)
        assert (row["file_name"], row["width"], row["height"]) == (one["file_name"], one["width"], one["height"])
        assert place_of(row, "images").member.name == one["image"].get("member", one["image"].get("file"))
        assert found.region_id.tolist() == [region["region_id"] for region in one["regions"]]
        assert found.phrases == [region["phrases"] for region in one["regions"]]
        boxes = [[region[side] for side in ("x", "y", "width", "height")] for region in one["regions"]]
        assert found.published_box_xywh.astype(int).tolist() == boxes
        if has_masks:
            # The region of zero width has a mask without a pixel: here a mask that is none.
            counts = [b"" if region["region_id"] == 702 else region["mask"]["counts"].encode() for region in one["regions"]]
            assert found.counts == counts
        else:
            assert not any(found.counts)
    assert not report.rejects
    assert not parsed.report.rejects
    assert parsed.report.counts == {
        "images_listed": len(expected),
        "regions_listed": sum(len(one["regions"]) for one in expected),
    }


@pytest.mark.parametrize(("dataset", "variant"), ZIPPED)
@pytest.mark.parametrize("suffix", ["", ",use_densecap_splits"])
def test_every_row_of_the_original_holds_in_both_versions(shared: Path, dataset: str, variant: str, suffix: str) -> None:
    expected = json.loads((shared / f"goldens/sca/expected/{dataset}.json").read_text())["expected"].get(variant + suffix)
    if expected is None:
        assert (variant, suffix) == ("mask_region_descriptions_v0.0.1", "")
        return
    inputs = shared / "goldens/sca/inputs/archives" / dataset
    files = {
        "image_data": inflated(inputs / "image_data.json.zip"),
        "regions": inflated(inputs / ZIPPED[dataset, variant]),
        "splits": plain(inputs / "densecap_splits.json"),
    }
    parts = [FolderPart(list_members(inputs / name), "") for name in ("images.zip", "images2.zip")]
    for split, rows in expected.items():
        options = visual_genome.Options(split=SPLITS.get(split, split) if suffix else "")
        if not rows:
            with pytest.raises(AnnotationError, match="the split 'val' has no images"):
                visual_genome.parse(files, {"images": MemberFolder(parts)}, options)
            continue
        parsed = visual_genome.parse(files, {"images": MemberFolder(parts)}, options)
        assert_equal_to_rows(parsed, rows, has_masks=variant.startswith("mask"))
        has_coco_photo = {row["image_id"]: row["coco_image_id"] for row in parsed.table.to_pylist()}
        assert set(has_coco_photo.values()) <= {-1, 77}
        assert dataset == "visual_genome_v1_0_0" or has_coco_photo.get(1, 77) == 77


@pytest.mark.parametrize("content", ["regions", "grit"])
def test_every_row_of_the_local_readers_holds(shared: Path, tmp_path: Path, content: str) -> None:
    name = {"regions": "densecap", "grit": "grit"}[content]
    expected = json.loads((shared / "goldens/sca/expected/visual_genome_local.json").read_text())["expected"][name]
    inputs = shared / "goldens/sca/inputs/archives/visual_genome_local"
    folders = [packed(inputs / one, tmp_path / f"{one}.zip") for one in ("VG_100K", "VG_100K_2")]
    photos = MemberFolder([FolderPart(members, "") for members in folders])
    assert expected.keys() == {"train", "test"}
    for split, rows in expected.items():
        regions = f"{split}.json" if content == "grit" else "region_descriptions.json"
        files = {
            "image_data": plain(inputs / "annotations/image_data.json"),
            "regions": plain(inputs / "annotations" / regions),
            "splits": plain(inputs / "annotations/densecap_splits.json"),
        }
        parsed = visual_genome.parse(
            files, {"images": photos}, visual_genome.Options(content, "" if content == "grit" else split)
        )
        assert_equal_to_rows(parsed, rows, has_masks=False)


class AnyPhoto(dict[str, "Member"]):
    """Members of an archive that has every photo; the real ones are not at hand."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self.member = member

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002  (as a dict)
        return self.member


@pytest.fixture
def any_photo(shared: Path) -> MemberFolder:
    members = list_members(shared / "goldens/sca/inputs/archives/visual_genome/images.zip")
    return MemberFolder([FolderPart(AnyPhoto(members["VG_100K/2.jpg"]), "")])


def test_real_image_records_and_splits_give_their_own_images(shared: Path, any_photo: MemberFolder) -> None:
    sample = shared / "samples/visual_genome"
    photos = json.loads((sample / "image_data_first1000.json").read_text())
    train = set(json.loads((sample / "densecap_splits.json").read_text())["train"])
    files = {
        "image_data": plain(sample / "image_data_first1000.json"),
        "regions": plain(sample / "region_descriptions_fragment.json"),
        "splits": plain(sample / "densecap_splits.json"),
    }
    everything = visual_genome.parse(files, {"images": any_photo}, visual_genome.Options())
    table = everything.table.to_pylist()
    assert [row["image_id"] for row in table] == sorted(one["image_id"] for one in photos)
    assert [row["file_name"] for row in table[:2]] == ["VG_100K_2/1.jpg", "VG_100K/2.jpg"]
    assert everything.report.counts == {"images_listed": 1002, "regions_listed": 6}  # two have descriptions, and no record
    missing = [(one.image_id, one.reason) for one in everything.report.rejects]
    assert missing == [(2396322, "image_record_missing"), (2414939, "image_record_missing")]
    assert table[0]["phrases"] == [
        ["the clock is green in colour"],
        ["shade is along the street "],
        ["man is wearing sneakers"],
        ["cars headlights are off"],
    ]

    in_train = visual_genome.parse(files, {"images": any_photo}, visual_genome.Options(split="train"))
    assert in_train.report.counts["images_listed"] == len(train) == 77398
    assert set(in_train.table["image_id"].to_pylist()) == train & {one["image_id"] for one in photos}


def test_the_real_grit_file_names_its_own_images(shared: Path, any_photo: MemberFolder) -> None:
    sample = shared / "samples/visual_genome"
    grit = json.loads((sample / "grit_train_fragment.json").read_text())
    known = {one["image_id"] for one in json.loads((sample / "image_data_first1000.json").read_text())}
    files = {"image_data": plain(sample / "image_data_first1000.json"), "regions": plain(sample / "grit_train_fragment.json")}
    parsed = visual_genome.parse(files, {"images": any_photo}, visual_genome.Options("grit"))
    listed = {one["id"] for one in grit["images"]} | {one["image_id"] for one in grit["annotations"]}
    assert parsed.report.counts == {"images_listed": len(listed), "regions_listed": 2}
    assert parsed.table["image_id"].to_pylist() == sorted(listed & known)
    assert {one.image_id for one in parsed.report.rejects} == listed - known
    row = next(row for row in parsed.table.to_pylist() if row["image_id"] == 51)
    assert row["phrases"] == [["head of a person"]]
    assert row["box_xywh"] == [[312, 279, 49, 51]]
