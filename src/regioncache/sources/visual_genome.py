"""Visual Genome: an image list, and one JSON of regions, objects, attributes, relationships or question-answer pairs.

Every region is a box with texts, whatever the file:

==================  ==========================================================  ==============================================
content             box                                                         phrases
==================  ==========================================================  ==============================================
regions             as published, with a mask where the file has one            its phrase, or its list of phrases
objects             as published                                                the object's names
attributes          the object's                                                "attribute name" for each attribute, so that a
                                                                                phrase says what it speaks of; an object
                                                                                without attributes keeps its names
relationships       the smallest around subject and object, as the phrase       "subject predicate object", first names
                    speaks of both
question_answers    the whole image, as a pair has no box of its own            "question answer"
grit                as published                                                the caption
==================  ==========================================================  ==============================================

Photos lie in two archives, ``images.zip`` with the folder VG_100K and ``images2.zip`` with VG_100K_2; the last two parts of an
image's url say where. About half of them are COCO's too, which ``coco_image_id`` tells. Images are decoded one by one, in the
order of their ids, as the largest file holds 5.4 million regions.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from regioncache.errors import AnnotationError, BadRecordError, ConfigError
from regioncache.masks import to_rle
from regioncache.sources.coco_records import Int64
from regioncache.sources.json_values import segmentation_of
from regioncache.sources.places import MemberFolder, Place, place_columns, place_fields
from regioncache.sources.record import IMAGE_FIELDS, AnnotationFile, Needs, Parsed
from regioncache.sources.regions import Category, Regions, make_regions
from regioncache.sources.reports import Reject, Report
from regioncache.sources.visual_genome_grit import GritFile
from regioncache.sources.visual_genome_records import CONTENTS, Found, Photo, RegionLists, decoded, image_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a catalog entry chooses.

    Attributes:
        content: what the file ``regions`` holds.
        split: of densecap's splits, which the file ``splits`` lists; empty for all images of the image list, or with
            ``grit`` for those of GRiT's file.
    """

    content: Literal["regions", "objects", "attributes", "relationships", "question_answers", "grit"] = "regions"
    split: Literal["", "train", "val", "test"] = ""


NEEDS = Needs(files=("image_data", "regions"))

TABLE = pa.schema(
    [
        *IMAGE_FIELDS,
        ("url", pa.string()),
        ("coco_image_id", pa.int64()),
        *place_fields("images"),
        ("region_id", pa.list_(pa.int64())),
        ("box_xywh", pa.list_(pa.list_(pa.float64(), 4))),
        ("phrases", pa.list_(pa.list_(pa.string()))),
        ("mask", pa.large_list(pa.large_binary())),
    ]
)
"""One row per usable image, sorted by image id; masks as their JSON, empty where there is none."""

_BATCH_IMAGES = 1024


class _Image(NamedTuple):
    image_id: int
    file_name: str
    photo: Photo
    place: Place


class _Row(NamedTuple):
    image: _Image
    regions: list[Found]


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], options: Options) -> Parsed:
    """See ``Source.parse``; images of the split without an entry in the file of regions have none, and stay."""
    report = Report()
    is_grit = options.content == "grit"
    source = GritFile(files["regions"]) if is_grit else RegionLists(files["regions"], CONTENTS[options.content])
    photos = decoded(files["image_data"], list[Photo], "an image list such as image_data.json")
    listed = set(image_ids(files["image_data"], photos))
    named = _split_ids(files, options.split) if options.split else source.image_ids
    wanted = named if options.split or is_grit else listed
    for image_id in sorted(named - listed):
        report.reject(Reject(image_id, "", "image_record_missing", f"image {image_id} is not in {files['image_data'].name}"))
    report.count("images_listed", len(wanted | named))
    report.count("regions_listed", sum(map(source.count, wanted | named)))
    images = _images(photos, wanted, folders["images"], report)
    batches = list(_batches(_rows(images, source, report)))
    table = pa.concat_tables([TABLE.empty_table(), *batches])
    return Parsed(_unique(table, report), [], report)


def _split_ids(files: Mapping[str, AnnotationFile], split: str) -> set[int]:
    if "splits" not in files:
        raise ConfigError(
            f"the split {split!r} of Visual Genome needs the file `splits`, densecap_splits.json; add it to the entry"
        )
    splits = decoded(files["splits"], dict[str, list[Int64]], "a list of image ids per split such as densecap_splits.json")
    if not splits.get(split):
        found = {name: len(ids) for name, ids in splits.items()}
        raise AnnotationError(files["splits"].name, f"the split {split!r} has no images", expected=split, found=found)
    return set(splits[split])


def _images(photos: list[Photo], wanted: set[int], folder: MemberFolder, report: Report) -> list[_Image]:
    """The images that are wanted and can be used, sorted by id."""
    times = Counter(one.key for one in photos)
    usable = []
    for image_id, photo in {one.key: one for one in photos if one.key in wanted}.items():
        names = _file_names(photo, image_id)
        found = next(((name, place) for name in names if (place := folder.find(name)) is not None), None)
        if times[image_id] > 1:
            problem = "image_id_duplicate", f"{times[image_id]} image records have id {image_id}"
        elif found is None:
            problem = "image_missing", f"the images archives have no member {' or '.join(names)} below {folder}"
        else:
            usable.append(_Image(image_id, found[0], photo, found[1]))
            continue
        report.reject(Reject(image_id, names[0], *problem))
    return sorted(usable, key=lambda image: image.image_id)


def _file_names(photo: Photo, image_id: int) -> list[str]:
    """Where the photo may lie: as its url says, in either folder, or in one folder for all."""
    name = f"{image_id}.jpg"
    by_url = "/".join(photo.url.split("/")[-2:])
    return list(dict.fromkeys([by_url, f"VG_100K/{name}", f"VG_100K_2/{name}", name]))


def _rows(images: list[_Image], source: RegionLists | GritFile, report: Report) -> Iterator[_Row]:
    for image in images:
        try:
            found = source.of_image(image.image_id, image.photo)
        except BadRecordError as error:
            report.reject(Reject(image.image_id, image.file_name, error.reason, error.detail))
            continue
        usable = []
        for one in found:
            if not one.phrases:
                problem = "phrase_missing", "it has neither a phrase nor a name"
            elif not all(map(math.isfinite, one.box_xywh)):  # the box around two boxes whose numbers are near float64's end
                problem = "box_invalid", f"its box is {one.box_xywh}"
            else:
                usable.append(one)
                continue
            report.reject(Reject(image.image_id, image.file_name, *problem, one.region_id))
        yield _Row(image, usable)


def _batches(rows: Iterable[_Row]) -> Iterator[pa.Table]:
    """Tables of a few images each, so that Python objects never stand for more regions than theirs."""
    rows = iter(rows)
    while batch := list(islice(rows, _BATCH_IMAGES)):
        images = [row.image for row in batch]
        yield pa.table(
            {
                "image_id": [one.image_id for one in images],
                "file_name": [one.file_name for one in images],
                "width": [one.photo.width for one in images],
                "height": [one.photo.height for one in images],
                "url": [one.photo.url for one in images],
                "coco_image_id": [-1 if one.photo.coco_id is None else one.photo.coco_id for one in images],
                **place_columns("images", [one.place for one in images]),
                "region_id": [[one.region_id for one in row.regions] for row in batch],
                "box_xywh": [[one.box_xywh for one in row.regions] for row in batch],
                "phrases": [[one.phrases for one in row.regions] for row in batch],
                "mask": [[one.mask for one in row.regions] for row in batch],
            },
            schema=TABLE,
        )


def _unique(table: pa.Table, report: Report) -> pa.Table:
    """The table without regions whose id stands at an earlier one."""
    ids = table["region_id"].combine_chunks().flatten().to_numpy()
    order = np.argsort(ids, kind="stable")
    again = np.zeros(len(ids), np.bool_)
    again[order[1:]] = ids[order[1:]] == ids[order[:-1]]
    if not again.any():
        return table
    ends = np.cumsum(table["region_id"].combine_chunks().value_lengths().to_numpy())
    owners = np.searchsorted(ends, np.flatnonzero(again), side="right")
    named = table.select(["image_id", "file_name"]).take(pa.array(owners)).to_pylist()
    for row, region_id in zip(named, ids[again].tolist(), strict=True):
        detail = f"another region of the split has id {region_id}"
        report.reject(Reject(row["image_id"], row["file_name"], "region_id_duplicate", detail, region_id))
    kept_before = np.concatenate(([0], np.cumsum(~again)))
    offsets = kept_before[np.concatenate(([0], ends))]
    for name in ("region_id", "box_xywh", "phrases", "mask"):
        kind = TABLE.field(name).type
        values = table[name].combine_chunks().flatten().filter(pa.array(~again))
        maker, width = (pa.LargeListArray, np.int64) if pa.types.is_large_list(kind) else (pa.ListArray, np.int32)
        column = maker.from_arrays(pa.array(offsets.astype(width)), values)
        table = table.set_column(table.schema.get_field_index(name), TABLE.field(name), column.cast(kind))
    return table


def regions_of(
    row: Mapping[str, Any], _read: Callable[[str], bytes], _categories: Mapping[int, Category], report: Report
) -> Regions:
    """See ``Source.regions_of``.

    A region is its box and its phrases: one whose mask is null or covers no pixel stays, without a mask, and is counted in
    ``masks_absent`` or ``masks_empty``. A mask that cannot be used costs the region.
    """
    counts, kept = [], []
    for k, text in enumerate(row["mask"]):
        try:
            counts.append(_mask(text, row["height"], row["width"], report))
        except BadRecordError as error:
            report.reject(Reject(row["image_id"], row["file_name"], error.reason, error.detail, row["region_id"][k]))
            continue
        kept.append(k)
    return make_regions(
        (row["height"], row["width"]),
        region_id=[row["region_id"][k] for k in kept],
        published_box_xywh=[row["box_xywh"][k] for k in kept],
        phrases=[row["phrases"][k] for k in kept],
        counts=counts,
    )


def _mask(text: bytes, height: int, width: int, report: Report) -> bytes:
    segmentation = segmentation_of(text)
    if not segmentation:
        if text:
            report.count("masks_absent")
        return b""
    try:
        return to_rle(segmentation, height, width)
    except BadRecordError as error:
        if error.reason != "mask_empty":
            raise
        report.count("masks_empty")
        return b""
