"""Open Images' masks: which box they belong to, PNG files of every kind, other resolutions, turns, and what is damaged."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as pycoco

from openimages_files import boxes_csv, line, parse, signed
from regioncache.archive import Member
from regioncache.errors import AnnotationError
from regioncache.sources import openimages
from regioncache.sources.places import FolderPart, MemberFolder, place_of
from regioncache.sources.reports import Report

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regioncache.sources.record import Parsed
    from regioncache.sources.regions import Regions

A, B = "000002b66c9c498e", "8fffffffffffffff"
HEADER = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
UNKNOWN = 256 + 512 + 1024 + 2048 + 4096


def masks_csv(*lines: str) -> str:
    return "\n".join([HEADER, *lines, ""])


def mask_line(path: str, image: str = A, label: str = "/m/01g317", box: str = "0.1,0.4,0.2,0.6") -> str:
    return f"{path},{image},{label},01234567,{box},0.8,0.16388 0.50114 1;0.25069 0.75425 1"


def png(pixels: NDArray[Any], mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(buffer, "PNG")
    return buffer.getvalue()


def folders(*parts: list[str]) -> dict[str, MemberFolder]:
    """The folder ``masks`` in several parts that hold these names."""
    return {"masks": MemberFolder([FolderPart({one: Member(one, 7, 8, 9, 0, 10) for one in names}, "") for names in parts])}


def regions_of(parsed: Parsed, files: dict[str, bytes], size_hw: tuple[int, int], place: int = 0) -> tuple[Regions, Report]:
    row = {**parsed.table.to_pylist()[place], "height": size_hw[0], "width": size_hw[1]}
    report = Report()

    def read(folder: str, nth: int | None = None) -> bytes:
        return files[place_of(row, folder, nth).member.name]

    return openimages.regions_of(row, read, {one.category_id: one for one in parsed.categories}, report), report


def decoded(counts: bytes, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(pycoco.decode({"size": list(size_hw), "counts": counts})) > 0


def one_mask(data: bytes, size_hw: tuple[int, int], degrees: int = 0) -> tuple[Regions, Report]:
    images = f"ImageID,Rotation\n{A},{degrees}\n"
    parsed = parse(boxes_csv(line(A)), masks=masks_csv(mask_line("m.png")), images=images, folders=folders(["m.png"]))
    return regions_of(parsed, {"m.png": data}, size_hw)


def test_a_mask_is_that_of_the_box_with_its_image_class_and_sides() -> None:
    boxes = boxes_csv(
        line(A),
        line(A, "/m/0284d"),
        line(A, box="0.022673031,0.9642005,0.07103825,0.80054647"),
        line(B),
        line(A, box="0.1,0.4,0.2,0.61"),
    )
    masks = masks_csv(
        mask_line("boy.png", label="/m/0284d"),
        mask_line("b.png", B),
        mask_line("rounded.png", box="0.022673,0.964201,0.071038,0.800546"),
        mask_line("alone.png", box="0.1,0.4,0.2,0.62"),
        mask_line("again.png", label="/m/0284d"),
    )
    parsed = parse(boxes, masks=masks, folders=folders(["b.png", "boy.png"], ["rounded.png", "alone.png", "again.png"]))
    rows = {row["image_id"]: row for row in parsed.table.to_pylist()}
    of_a = rows[signed(A)]
    named = {
        region: None if nth < 0 else place_of(of_a, "masks", nth)
        for region, nth in zip(of_a["region_id"], of_a["mask"], strict=True)
    }
    assert {region: None if place is None else (place.part, place.member.name) for region, place in named.items()} == {
        0: None,
        1: (0, "boy.png"),
        2: (1, "rounded.png"),
        4: None,
        5 + 3: (1, "alone.png"),
        5 + 4: (1, "again.png"),
    }
    assert rows[signed(B)]["masks.name"] == [["b.png"]][0]
    assert of_a["flags"] == [0, 0, 0, 0, UNKNOWN, UNKNOWN]
    assert of_a["sides"][4] == [0.1, 0.4, 0.2, 0.62]
    counts = parsed.report.counts
    assert (counts["masks_listed"], counts["masks_without_box"], counts["regions_listed"]) == (5, 2, 7)


def test_two_masks_of_one_box_are_two_regions_and_no_mask_is_lost() -> None:
    parsed = parse(
        boxes_csv(line(A)), masks=masks_csv(mask_line("m.png"), mask_line("n.png")), folders=folders(["m.png", "n.png"])
    )
    assert parsed.table["region_id"].to_pylist() == [[0, 2]]
    assert parsed.table["masks.name"].to_pylist() == [["m.png", "n.png"]]


def test_an_image_of_masks_alone_is_an_image() -> None:
    parsed = parse(boxes_csv(line(B)), masks=masks_csv(mask_line("m.png")), folders=folders(["m.png"]))
    assert parsed.table["image_id"].to_pylist() == [signed(B), signed(A)]
    assert parsed.table["mask"].to_pylist() == [[-1], [0]]
    assert parsed.table["masks.offset"].to_pylist() == [[], [7]]


def test_boxes_that_go_with_their_image_take_their_masks_with_them() -> None:
    masks = masks_csv(mask_line("a.png"), mask_line("b.png", B))
    parsed = parse(
        boxes_csv(line(A), line(B), line(B)),
        masks=masks,
        images=f"ImageID,Rotation\n{B},0\n",
        folders=folders(["a.png", "b.png"]),
    )
    assert parsed.table["mask"].to_pylist() == [[0, -1]]
    assert parsed.table["masks.name"].to_pylist() == [["b.png"]]


@given(st.lists(st.tuples(st.sampled_from([A, B, "0" * 16]), st.integers(0, 3), st.booleans()), max_size=12))
def test_every_mask_is_in_a_row_once(some: list[tuple[str, int, bool]]) -> None:
    boxes = [line(image, box=f"0.{k},0.5,0,1") for image, k, has_box in some if has_box]
    masks = [mask_line(f"{place}.png", image, box=f"0.{k},0.5,0,1") for place, (image, k, _) in enumerate(some)]
    names = [f"{place}.png" for place in range(len(some))]
    parsed = parse(boxes_csv(*boxes), masks=masks_csv(*masks), folders=folders(names))
    rows = parsed.table.to_pylist()
    assert sorted(name for row in rows for name in row["masks.name"]) == sorted(names)
    for row in rows:
        assert [nth for nth in row["mask"] if nth >= 0] == list(range(len(row["masks.name"])))
        for sides, nth in zip(row["sides"], row["mask"], strict=True):
            if nth >= 0:
                image, k, _ = some[int(row["masks.name"][nth].removesuffix(".png"))]
                assert (signed(image), sides[0]) == (row["image_id"], k / 10)
    assert parsed.report.counts["regions_listed"] == sum(len(row["region_id"]) for row in rows)


def test_lines_of_masks_that_cannot_be_used_are_named() -> None:
    masks = masks_csv(
        mask_line("a.png", "q"), mask_line("b.png", label="/m/none"), mask_line("c.png", box="0,x,0,1"), "d.png,short", ""
    )
    parsed = parse(boxes_csv(line(A)), masks=masks, folders=folders(["a.png"]))
    found = sorted((one.region_id, one.reason, one.detail.split(" has ")[0]) for one in parsed.report.rejects)
    assert found == [(1 + k, "file_record_invalid", f"line {2 + k} of masks.csv") for k in range(4)]
    assert (parsed.report.counts["masks_listed"], parsed.report.counts["regions_listed"]) == (4, 5)


def test_masks_without_a_folder_are_an_error() -> None:
    with pytest.raises(AnnotationError, match="no folder"):
        parse(boxes_csv(line(A)), masks=masks_csv())


def test_a_mask_that_the_archives_lack_is_listed_and_its_region_stays() -> None:
    parsed = parse(boxes_csv(line(A)), masks=masks_csv(mask_line("m.png")), folders=folders(["other.png"]))
    assert [(one.image_id, one.region_id, one.reason) for one in parsed.report.rejects] == [(signed(A), 0, "mask_missing")]
    regions, _ = regions_of(parsed, {}, (10, 10))
    assert (regions.region_id.tolist(), regions.counts) == ([0], [b""])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_pixels_that_are_not_0_are_the_mask_in_every_kind_of_png(mode: str) -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((7, 5)) < 0.5
    grey = np.where(mask, 255, 0).astype(np.uint8)
    data = png(grey.astype(np.uint16)) if mode == "I;16" else png(grey, mode)
    if mode == "P":
        indexed = Image.fromarray(mask.astype(np.uint8), "L").convert("P")
        indexed.putdata(mask.astype(np.uint8).ravel().tolist())
        buffer = io.BytesIO()
        indexed.save(buffer, "PNG")
        data = buffer.getvalue()
    regions, report = one_mask(data, (7, 5))
    np.testing.assert_array_equal(decoded(regions.counts[0], (7, 5)), mask)
    assert regions.counts[0] == pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert report.rejects == []


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20), st.integers(1, 20), st.sampled_from([0, 90, 180, 270]))
def test_a_mask_is_turned_and_brought_to_the_size_of_the_image(h: int, w: int, height: int, width: int, degrees: int) -> None:
    mask = np.random.default_rng(h * 10 + w).random((h, w)) < 0.5
    mask[0, 0] = True
    turned = Image.fromarray(mask.astype(np.uint8)).rotate(degrees, expand=True)  # Pillow's turns are counter-clockwise
    expected = np.asarray(turned.resize((width, height), Image.Resampling.NEAREST)) > 0
    regions, report = one_mask(png(mask), (height, width), degrees)
    if not expected.any():
        assert ([one.reason for one in report.rejects], regions.counts) == (["mask_empty"], [b""])
        return
    np.testing.assert_array_equal(decoded(regions.counts[0], (height, width)), expected)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "mask_undecodable"),
        (b"no image", "mask_undecodable"),
        (png(np.eye(64, dtype=np.bool_))[:-30], "mask_undecodable"),
        (png(np.zeros((8, 8), np.bool_)), "mask_empty"),
    ],
)
def test_a_mask_that_cannot_be_used_is_listed_and_its_region_stays(data: bytes, reason: str) -> None:
    regions, report = one_mask(data, (64, 64))
    assert (regions.region_id.tolist(), regions.counts) == ([0], [b""])
    assert [(one.image_id, one.region_id, one.reason) for one in report.rejects] == [(signed(A), 0, reason)]
    assert "the region stays" in report.rejects[0].detail
