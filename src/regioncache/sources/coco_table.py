"""A decoded detection file joined with what the archives hold: one row per image that can be used, its regions as lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from regioncache.sources.coco_json import raw_json
from regioncache.sources.photo_names import NameEnds
from regioncache.sources.places import place_columns, place_fields
from regioncache.sources.record import IMAGE_FIELDS
from regioncache.sources.regions import make_regions
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from regioncache.sources.coco_json import CocoJson, ImageColumns
    from regioncache.sources.photo_names import PhotoFinder
    from regioncache.sources.places import Place
    from regioncache.sources.regions import Category, Regions


class UsableImages(NamedTuple):
    """The images that can be used, sorted by id.

    Attributes:
        places: where each stands in the file's list, int64 (n,).
        image_id: int64 (n,).
        photos: where their photos lie.
    """

    places: NDArray[np.int64]
    image_id: NDArray[np.int64]
    photos: list[Place]


def usable_images(images: ImageColumns, finder: PhotoFinder, report: Report, dead_images: Sequence[str] = ()) -> UsableImages:
    """The images that have one record and a photo; the others are rejected.

    Args:
        images: those of the file.
        finder: of their photos.
        report: gets the rejects, ``images_listed`` and ``paths_repaired``.
        dead_images: ends of the names of photos that the publisher lists as dead or broken.
    """
    report.count("images_listed", len(images.image_id))
    dead = NameEnds(dead_images)
    repeated = _repeated_records(images)
    places, photos = [], []
    for k in np.argsort(images.image_id, kind="stable").tolist():
        file_name = images.file_name[k]
        if k in repeated:
            problem = "image_id_duplicate", repeated[k]
        elif dead.match(file_name):
            problem = "dead_upstream", f"{file_name} is one of the images that the publisher lists as dead or broken"
        elif (photo := finder.find(file_name)) is None:
            problem = "image_missing", f"the images archive has no member {file_name} below {finder}"
        else:
            places.append(k)
            photos.append(photo)
            continue
        report.reject(Reject(int(images.image_id[k]), file_name, *problem))
    report.count("paths_repaired", finder.repaired)
    chosen = np.array(places, np.int64)
    return UsableImages(chosen, images.image_id[chosen], photos)


def _repeated_records(images: ImageColumns) -> dict[int, str]:
    """Why image records whose id is listed more than once are left out, by their place in the list.

    Of equal records the first stays; of records that differ none does, as no annotation can say which of them it means.
    """
    doubled = np.isin(images.image_id, images.image_id[repeats(images.image_id)])
    records: dict[int, list[int]] = {}
    for k in np.flatnonzero(doubled).tolist():
        records.setdefault(int(images.image_id[k]), []).append(k)
    problems: dict[int, str] = {}
    for image_id, places in records.items():
        equal = all(_record(images, k) == _record(images, places[0]) for k in places)
        detail = f"image {image_id} is listed {len(places)} times, " + ("the first stays" if equal else "not each time the same")
        problems |= dict.fromkeys(places[1:] if equal else places, detail)
    return problems


def _record(images: ImageColumns, k: int) -> tuple[str, list[int]]:
    return images.file_name[k], images.size_wh[k].tolist()


def repeats(values: NDArray[Any]) -> NDArray[np.int64]:
    """Places of the values that stand at an earlier place too, int64, ascending."""
    if (values[1:] > values[:-1]).all():
        return np.zeros(0, np.int64)
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    return np.sort(order[1:][ranked[1:] == ranked[:-1]])


class UsableRegions:
    """The regions of usable images, less those that are rejected one by one.

    Args:
        coco: the decoded file; its region columns are used up by ``table``.
        images: the usable images.
        report: gets the rejects and ``regions_listed``.
    """

    def __init__(self, coco: CocoJson, images: UsableImages, report: Report) -> None:
        self._coco, self._images, self._report = coco, images, report
        self._columns = coco.regions
        report.count("regions_listed", len(self._columns["region_id"]))
        self._row = _places_in(images.image_id, self._columns["image_id"])
        strangers = np.flatnonzero(self._row < 0)
        strangers = strangers[~np.isin(self._columns["image_id"][strangers], coco.images.image_id)]
        self._reject(strangers, "region_without_image", lambda k: f"no image has id {self._columns['image_id'][k]}")
        self._chosen = np.flatnonzero(self._row >= 0)
        self._check()

    def _check(self) -> None:
        ids, box = self._columns["region_id"], self._columns["box_xywh"]
        self._drop(repeats(ids[self._chosen]), "region_id_duplicate", lambda k: f"a region before it has id {ids[k]} too")
        finite = np.isfinite(box).all(axis=1)[self._chosen]
        self._drop(np.flatnonzero(~finite), "box_invalid", lambda _: "expected four finite numbers as its bbox")
        known = np.sort(np.array([one.category_id for one in self._coco.categories], np.int32))
        category = self._columns["category_id"]
        unknown = _places_in(known, category[self._chosen]) < 0
        self._drop(np.flatnonzero(unknown), "category_unknown", lambda k: f"no category has id {category[k]}")

    def drop_doubles(self) -> None:
        """Reject regions of exactly the same box and category as one before them in the same image."""
        box, category = self._columns["box_xywh"], self._columns["category_id"]
        # Sorting by six columns takes long: regions of equal hashes are found first, and only those are compared.
        hashes = self._row[self._chosen].astype(np.uint64)
        for values in (category.astype(np.int64), *box.T):
            bits = (values[self._chosen] + 0).view(np.uint64)  # + 0 makes -0.0 and 0.0 one number
            hashes ^= bits
            hashes *= _MIX
            hashes ^= hashes >> np.uint64(29)
        ranked = np.sort(hashes)
        doubled = np.unique(ranked[1:][ranked[1:] == ranked[:-1]])
        del ranked
        some = np.flatnonzero(_places_in(doubled, hashes) >= 0)
        places = self._chosen[some]
        regions = np.column_stack((self._row[places], category[places], box[places] + 0.0))
        _, first = np.unique(regions, axis=0, return_index=True)
        later = np.delete(some, first)
        self._report.count("duplicate_regions", len(later))
        self._drop(
            later, "duplicate_region", lambda k: f"a region before it has category {category[k]} and box {box[k].tolist()} too"
        )

    def table(self, data: bytes | memoryview = b"") -> pa.Table:
        """One row per usable image; the columns of the decoded file are gone afterwards.

        Args:
            data: the file, from which the masks are taken where it was decoded with masks.

        Returns:
            The fields that every parsed table has, ``url``, and as lists with one entry per region ``region_id``,
            ``category_id``, ``published_box_xywh``, ``area``, ``is_crowd``, ``flags`` and, with masks, ``segmentation``: the JSON
            text of each, empty where there is none.
        """
        rows, order = self._row[self._chosen], self._chosen
        if (rows[1:] < rows[:-1]).any():
            order = order[np.argsort(rows, kind="stable")]
        offsets = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(self._images.image_id))))).astype(np.int32)
        taken, lists = self._columns, {}
        del taken["image_id"], rows
        self._row, self._chosen = np.zeros(0, np.int32), np.zeros(0, np.int64)

        def listed(values: pa.Array) -> pa.ListArray:
            return pa.ListArray.from_arrays(offsets, values)

        # The largest first, as each is there twice while it is put in order.
        boxes = pa.array(taken.pop("box_xywh")[order].reshape(-1))
        lists["published_box_xywh"] = listed(pa.FixedSizeListArray.from_arrays(boxes, 4))
        for name in ("region_id", "category_id", "area", "is_crowd", "flags"):
            lists[name] = listed(pa.array(taken.pop(name)[order]))
        if "mask_start" in taken:
            lists["segmentation"] = listed(raw_json(data, taken.pop("mask_start")[order], taken.pop("mask_bytes")[order]))
        return pa.table({**self._image_columns(), **lists})

    def _image_columns(self) -> dict[str, pa.Array]:
        images, places = self._coco.images, self._images.places
        values = {
            "image_id": self._images.image_id,
            "file_name": [images.file_name[k] for k in places],
            "width": images.size_wh[places, 0],
            "height": images.size_wh[places, 1],
            "url": [images.url[k] for k in places],
            **place_columns("images", self._images.photos),
        }
        return {field.name: pa.array(values[field.name], field.type) for field in (*IMAGE_FIELDS, *place_fields("images"), _URL)}

    def _drop(self, places: NDArray[np.int64], reason: str, detail: Callable[[int], str]) -> None:
        """Reject the regions at these places of the chosen ones."""
        self._reject(self._chosen[places], reason, detail)
        self._chosen = np.delete(self._chosen, places)

    def _reject(self, regions: NDArray[np.int64], reason: str, detail: Callable[[int], str]) -> None:
        for k in regions.tolist():
            row, region_id = self._row[k], int(self._columns["region_id"][k])
            file_name = self._coco.images.file_name[self._images.places[row]] if row >= 0 else ""
            self._report.reject(Reject(int(self._columns["image_id"][k]), file_name, reason, detail(k), region_id))


_URL = pa.field("url", pa.string())
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd: spreads the bits of a product


def _places_in(ranked: NDArray[Any], values: NDArray[Any]) -> NDArray[np.int32]:
    """Where in ``ranked`` each value stands, -1 where it does not."""
    if not len(ranked):
        return np.full(len(values), -1, np.int32)
    found = np.minimum(np.searchsorted(ranked, values), len(ranked) - 1).astype(np.int32)
    found[ranked[found] != values] = -1
    return found


def regions_of_row(
    row: Mapping[str, Any],
    categories: Mapping[int, Category],
    *,
    phrases: list[list[str]] | None = None,
    counts: list[bytes] | None = None,
) -> Regions:
    """The regions of a row of the table.

    Args:
        row: the row.
        categories: by the source's id.
        phrases: of each region; None for the names of their categories.
        counts: compressed RLE of each region, empty where there is none; None for no masks.
    """
    chosen = [categories[one] for one in row["category_id"]]
    return make_regions(
        (row["height"], row["width"]),
        region_id=row["region_id"],
        published_box_xywh=row["published_box_xywh"],
        phrases=[[one.name] for one in chosen] if phrases is None else phrases,
        categories=chosen,
        counts=counts,
        area=row["area"],
        is_crowd=row["is_crowd"],
        flags=row["flags"],
    )
