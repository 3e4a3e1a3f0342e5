"""RefCOCO, RefCOCO+, RefCOCOg and RefCLEF: pickled referring expressions, and the COCO instances that they refer to.

A ref is one region: its box and mask are those of the annotation it names, its phrases are all its sentences, as ``sent``
gives them. An image has the regions of the chosen split alone, even where refs of another split speak of the same image. The
``file_name`` of a ref carries a suffix and names no file: photos are found by the file names of the instances.

Forms of the files: https://github.com/lichengunc/refer
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from pycocotools import mask as pycoco

from regioncache.errors import AnnotationError, BadRecordError
from regioncache.masks import to_rle
from regioncache.sources.coco_records import CocoImage, Int32, Int64
from regioncache.sources.json_values import decode_file, segmentation_of
from regioncache.sources.places import MemberFolder, Place, place_columns, place_fields
from regioncache.sources.plain_pickle import read_plain_pickle
from regioncache.sources.record import IMAGE_FIELDS, AnnotationFile, Needs, Parsed
from regioncache.sources.regions import Category, Regions, box_areas, make_regions
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Sentence(msgspec.Struct, gc=False):
    sent: str


class Ref(msgspec.Struct, gc=False):
    """One record of a refs file, as far as it is of use here."""

    ref_id: Int64
    ann_id: Int64
    image_id: Int64
    split: str
    sentences: list[_Sentence]


class _Annotation(msgspec.Struct, gc=False):
    id: Int64
    image_id: Int64
    category_id: Int32
    bbox: list[float]
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    area: float | None = None
    iscrowd: int = 0


class _Category(msgspec.Struct, gc=False):
    id: Int32
    name: str


class _File(msgspec.Struct):
    images: list[CocoImage]
    annotations: list[_Annotation]
    categories: list[_Category]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a catalog entry chooses.

    Attributes:
        split: train, val, test, testA, testB or testC.
        match: how a ref's own split must agree. ``last_letter``: testA, testB and testC also take refs of several splits,
            such as testAB, as the authors' own code does; all others by name. ``equal``: by name alone.
        with_mask: whether the masks are taken too.
    """

    split: str
    match: Literal["last_letter", "equal"] = "last_letter"
    with_mask: bool = True


NEEDS = Needs(files=("instances", "refs"))

TABLE = pa.schema(
    [
        *IMAGE_FIELDS,
        ("url", pa.string()),
        *place_fields("images"),
        ("region_id", pa.list_(pa.int64())),
        ("category_id", pa.list_(pa.int32())),
        ("box_xywh", pa.list_(pa.list_(pa.float64(), 4))),
        ("phrases", pa.list_(pa.list_(pa.string()))),
        ("segmentation", pa.large_list(pa.large_binary())),
        ("area", pa.list_(pa.float64())),
        ("is_crowd", pa.list_(pa.bool_())),
    ]
)
"""The refs of a split: one row per image, sorted by image id; masks as their JSON, empty without masks."""

_LETTER_SPLITS = frozenset({"testA", "testB", "testC"})


def read_refs(file: AnnotationFile) -> list[Ref]:
    """The records of a refs file, of all splits, in the file's order.

    Raises:
        AnnotationError: no pickle of plain values, or not the records that refs files hold.
    """
    value = read_plain_pickle(file.name, file.data)
    try:
        return msgspec.convert(value, list[Ref])
    except msgspec.ValidationError as error:
        raise AnnotationError(
            file.name,
            f"not a list of referring expressions: {error}",
            remedy="Compare it with the format of refs(unc).p, or fetch it again",
        ) from error


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], options: Options) -> Parsed:
    """See ``Source.parse``; the table has the images that the split speaks of."""
    refs = _of_split(files["refs"], options)
    file = _instances(files["instances"])
    report = Report()
    report.count("images_listed", len({ref.image_id for ref in refs} & {image.id for image in file.images}))
    report.count("regions_listed", len(refs))
    categories = [Category(one.id, one.name, is_thing=True, index=k) for k, one in enumerate(file.categories)]
    places = _images(file, folders["images"], {ref.image_id for ref in refs}, report)
    pairs = _regions(refs, file, report)
    pairs.sort(key=lambda pair: pair[0].image_id)  # stable: within an image they keep the file's order
    grouped = {image_id: list(some) for image_id, some in groupby(pairs, key=lambda pair: pair[0].image_id)}
    rows = [(*places[one], grouped.get(one, [])) for one in sorted(places)]
    return Parsed(_table(rows, options), categories, report)


def _of_split(file: AnnotationFile, options: Options) -> list[Ref]:
    refs = read_refs(file)
    if options.match == "last_letter" and options.split in _LETTER_SPLITS:
        chosen = [ref for ref in refs if options.split[-1] in ref.split]
    else:
        chosen = [ref for ref in refs if ref.split == options.split]
    if not chosen:
        raise AnnotationError(
            file.name,
            f"no ref is of the split {options.split!r}",
            expected=options.split,
            found=dict(sorted(Counter(ref.split for ref in refs).items())),
            remedy="Choose one of the splits that the file has, or another refs file",
        )
    return chosen


def _instances(file: AnnotationFile) -> _File:
    decoded = decode_file(file, _File, what="a COCO instances file", like="instances_train2014.json")
    for kind, records in (("category", decoded.categories), ("annotation", decoded.annotations)):
        doubled = [one for one, times in Counter(record.id for record in records).items() if times > 1]
        if doubled:
            raise AnnotationError(file.name, f"{kind} ids appear twice", expected="unique ids", found=doubled[:8])
    return decoded


def _images(file: _File, folder: MemberFolder, wanted: set[int], report: Report) -> dict[int, tuple[CocoImage, Place]]:
    """The usable images among those wanted, by id, with the photo's place."""
    times = Counter(image.id for image in file.images)
    usable = {}
    for image in {image.id: image for image in file.images if image.id in wanted}.values():
        place = folder.find(image.file_name)
        if times[image.id] > 1:
            problem = "image_id_duplicate", f"{times[image.id]} image records have id {image.id}"
        elif place is None:
            problem = "image_missing", f"the images archive has no member {image.file_name} below {folder}"
        else:
            usable[image.id] = image, place
            continue
        report.reject(Reject(image.id, image.file_name, *problem))
    return usable


def _regions(refs: list[Ref], file: _File, report: Report) -> list[tuple[Ref, _Annotation]]:
    """The usable refs with their annotations, in the file's order."""
    file_names = {image.id: image.file_name for image in file.images}
    category_ids = {category.id for category in file.categories}
    annotations = {one.id: one for one in file.annotations}
    seen: set[int] = set()
    usable = []
    for ref in refs:
        annotation = annotations.get(ref.ann_id)
        if ref.image_id not in file_names:
            problem = "region_without_image", f"the ref names image {ref.image_id}, which the instances do not list"
        elif annotation is None or annotation.image_id != ref.image_id:
            problem = "region_annotation_missing", f"the instances have no annotation {ref.ann_id} of image {ref.image_id}"
        elif ref.ref_id in seen:
            problem = "region_id_duplicate", f"another ref of the split has id {ref.ref_id}"
        elif annotation.category_id not in category_ids:
            problem = "category_unknown", f"category id {annotation.category_id} is not among the file's categories"
        elif len(annotation.bbox) != 4 or not all(map(math.isfinite, annotation.bbox)):  # noqa: PLR2004  (x, y, width, height)
            problem = "box_invalid", f"expected x, y, width and height, found {annotation.bbox}"
        elif not ref.sentences:
            problem = "phrase_missing", "the ref has no sentence"
        else:
            seen.add(ref.ref_id)
            usable.append((ref, annotation))
            continue
        report.reject(Reject(ref.image_id, file_names.get(ref.image_id, ""), *problem, ref.ref_id))
    return usable


def _table(rows: list[tuple[CocoImage, Place, list[tuple[Ref, _Annotation]]]], options: Options) -> pa.Table:
    return pa.table(
        {
            "image_id": [image.id for image, _, _ in rows],
            "file_name": [image.file_name for image, _, _ in rows],
            "width": [image.width for image, _, _ in rows],
            "height": [image.height for image, _, _ in rows],
            "url": [image.coco_url for image, _, _ in rows],
            **place_columns("images", [place for _, place, _ in rows]),
            "region_id": [[ref.ref_id for ref, _ in pairs] for *_, pairs in rows],
            "category_id": [[one.category_id for _, one in pairs] for *_, pairs in rows],
            "box_xywh": [[one.bbox for _, one in pairs] for *_, pairs in rows],
            "phrases": [[[sentence.sent for sentence in ref.sentences] for ref, _ in pairs] for *_, pairs in rows],
            "segmentation": [[bytes(one.segmentation) if options.with_mask else b"" for _, one in pairs] for *_, pairs in rows],
            "area": [[_area(one) for _, one in pairs] for *_, pairs in rows],
            "is_crowd": [[bool(one.iscrowd) for _, one in pairs] for *_, pairs in rows],
        },
        schema=TABLE,
    )


def _area(annotation: _Annotation) -> float:
    return float(box_areas(np.array([annotation.bbox]))[0]) if annotation.area is None else annotation.area


def regions_of(
    row: Mapping[str, Any], _read: Callable[[str], bytes], categories: Mapping[int, Category], report: Report
) -> Regions:
    """See ``Source.regions_of``; regions come in the order of the refs.

    A region without a segmentation (absent, null or empty) stays, without a mask, and is counted in ``masks_absent``; one
    whose segmentation cannot be used is rejected.
    """
    counts, kept = [], []
    for k, text in enumerate(row["segmentation"]):
        try:
            segmentation = segmentation_of(text)
            counts.append(_mask(segmentation, row["height"], row["width"]) if segmentation else b"")
        except BadRecordError as error:
            report.reject(Reject(row["image_id"], row["file_name"], error.reason, error.detail, row["region_id"][k]))
            continue
        kept.append(k)
        if text and not segmentation:
            report.count("masks_absent")
    return make_regions(
        (row["height"], row["width"]),
        region_id=[row["region_id"][k] for k in kept],
        published_box_xywh=[row["box_xywh"][k] for k in kept],
        phrases=[row["phrases"][k] for k in kept],
        categories=[categories[row["category_id"][k]] for k in kept],
        counts=counts,
        area=[row["area"][k] for k in kept],
        is_crowd=[row["is_crowd"][k] for k in kept],
    )


def _mask(segmentation: Any, height: int, width: int) -> bytes:  # noqa: ANN401  (parsed JSON, judged by to_rle)
    """The RLE of a mask; RefCLEF wraps its RLEs in a list, of which the union counts."""
    if not (isinstance(segmentation, list) and all(isinstance(one, dict) for one in segmentation)):
        return to_rle(segmentation, height, width)
    parts = [{"size": [height, width], "counts": to_rle(one, height, width)} for one in segmentation]
    union: bytes = pycoco.merge(parts)["counts"]
    return union
