"""SA1B-Cap: photos of SA-1B in tars, and beside each tar TSV files of masks, captions and, where there are any, CLIP scores.

Each TSV file has a line per region, `<image id>-<place>-<region id>`, a tab, and JSON: a record of SA-1B (bbox, area,
image_size, segmentation), a list of captions with their confidence, a list of CLIP scores, one per caption.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from regioncache.archive import STORED, Member
from regioncache.errors import BadRecordError
from regioncache.masks import compressed_rles
from regioncache.sources.coco_records import Int64
from regioncache.sources.json_values import NOT_DECODED
from regioncache.sources.places import MemberFolder, Place, place_columns, place_fields
from regioncache.sources.record import IMAGE_FIELDS, AnnotationFile, Needs, NoOptions, Parsed, ReadMember
from regioncache.sources.regions import Category, Regions, make_regions
from regioncache.sources.reports import Reject, Report
from regioncache.sources.tsv import TsvKey, Windows, image_windows, lines_of, no_key, shown_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


NEEDS = Needs(files=("annotations", "captions"), windows=("annotations", "captions", "scores"))
Options = NoOptions
_INDEX = "_lineidx"  # ``captions_lineidx`` is the side-car of ``captions``
_PHOTO = re.compile(r"(?:.*/)?sa_(\d{1,18})\.jpe?g", re.IGNORECASE)


class _Segmentation(msgspec.Struct, gc=False):
    size: tuple[int, int]
    counts: str


class _Annotation(msgspec.Struct, gc=False):
    id: Int64
    bbox: tuple[float, float, float, float]
    area: float
    image_size: tuple[int, int]
    segmentation: _Segmentation


class _Caption(msgspec.Struct, gc=False):
    caption: str
    conf: float | None = None


class _Score(msgspec.Struct, gc=False):
    clip_score: float


_Value = TypeVar("_Value")
_ANNOTATION = msgspec.json.Decoder(_Annotation)
_CAPTIONS = msgspec.json.Decoder(list[_Caption])
_SCORES = msgspec.json.Decoder(list[_Score])


def parse(files: Mapping[str, AnnotationFile], folders: Mapping[str, MemberFolder], _options: NoOptions) -> Parsed:
    """See ``Source.parse``. Only keys are read here; a row says where the lines of its image lie."""
    report = Report()
    windows = {name: image_windows(files[name], files.get(name + _INDEX)) for name in NEEDS.windows if name in files}
    for name, found in windows.items():
        for line in found.bad_lines.tolist():
            detail = f"line {line + 1} of {files[name].name}: expected it to begin with <image>-<place>-<region>"
            report.reject(Reject(-1, "", "file_record_invalid", detail, line))
        report.count(f"lines/{name}", found.lines)
    photos = _photos(folders["images"], report)
    listed = np.unique(np.concatenate([np.fromiter(photos, np.int64, len(photos)), *(one.image_id for one in windows.values())]))
    report.count("images_listed", len(listed))
    report.count("regions_listed", windows["annotations"].lines)
    usable = [one for one in listed.tolist() if _is_usable(one, photos, windows, report)]
    return Parsed(_table(np.array(usable, np.int64), photos, windows), [], report)


def _photos(folder: MemberFolder, report: Report) -> dict[int, tuple[str, Place]]:
    """The photos of the tar by image id; other members, such as SA-1B's own JSON files, are counted."""
    photos: dict[int, tuple[str, Place]] = {}
    for name, place in folder.files():
        found = _PHOTO.fullmatch(name)
        if found is None:
            report.count("members_that_are_no_photos")
            continue
        image_id = int(found[1])
        if image_id in photos:
            report.reject(Reject(image_id, name, "image_id_duplicate", f"{photos[image_id][0]} has the same number"))
            continue
        photos[image_id] = name.removeprefix("./"), place
    return photos


def _is_usable(image_id: int, photos: Mapping[int, object], windows: Mapping[str, Windows], report: Report) -> bool:
    """Whether photo, masks and captions are all there; what is not is a reject, once per image."""
    having = [name for name, found in windows.items() if _has(found.image_id, image_id)]
    file_name = f"sa_{image_id}.jpg"
    if image_id not in photos:
        report.reject(
            Reject(image_id, file_name, "image_missing", f"the tar has no such photo, but {' and '.join(having)} name it")
        )
    elif "annotations" not in having:
        report.reject(Reject(image_id, file_name, "annotation_missing", "no line of the annotations names the photo"))
    elif "captions" not in having:
        report.reject(Reject(image_id, file_name, "captions_missing", "no line of the captions names the photo"))
    else:
        return True
    return False


def _has(ranked: NDArray[np.int64], value: int) -> bool:
    place = int(np.searchsorted(ranked, value))
    return place < len(ranked) and int(ranked[place]) == value


def _table(image_id: NDArray[np.int64], photos: Mapping[int, tuple[str, Place]], windows: Mapping[str, Windows]) -> pa.Table:
    fields = [*IMAGE_FIELDS, *place_fields("images"), *(field for name in windows for field in place_fields(name))]
    chosen = [photos[one] for one in image_id.tolist()]
    unknown = np.full(len(image_id), -1, np.int32)
    values: dict[str, Any] = {
        "image_id": image_id,
        "file_name": [name for name, _ in chosen],
        "width": unknown,
        "height": unknown,
        **place_columns("images", [place for _, place in chosen]),
    }
    for name, found in windows.items():
        values |= place_columns(name, [_window(found, one) for one in image_id.tolist()])
    return pa.table({field.name: pa.array(values[field.name], field.type) for field in fields})


def _window(windows: Windows, image_id: int) -> Place:
    """The lines of an image as a member of the TSV file; of no length where there are none."""
    if not _has(windows.image_id, image_id):
        return Place(0, Member("", 0, 0, 0, STORED, None))
    place = int(np.searchsorted(windows.image_id, image_id))
    size = int(windows.end[place] - windows.start[place])
    return Place(0, Member("", int(windows.start[place]), size, size, STORED, None))


class _Region(NamedTuple):
    """One region that all files agree on."""

    key: TsvKey
    annotation: _Annotation
    phrases: list[str]
    scores: tuple[float, float, float]


def regions_of(row: Mapping[str, Any], read: ReadMember, _categories: Mapping[int, Category], report: Report) -> Regions:
    """See ``Source.regions_of``. Regions stand in the order of the annotations, joined with captions and scores by their keys."""
    reader = _Reader(row, read, report)
    annotations, captions = reader.values("annotations", _ANNOTATION), reader.values("captions", _CAPTIONS)
    scores = reader.values("scores", _SCORES) if "scores.offset" in row else None
    _check_size(row, annotations)
    for key in captions.keys() - annotations.keys():
        reader.reject(key, "region_annotation_missing", "a line of the captions has this key, and none of the annotations")
    regions = [reader.region(key, annotations[key], captions, scores) for key in annotations]
    good, counts = reader.with_masks([one for one in regions if one is not None])
    made = make_regions(
        (row["height"], row["width"]),
        region_id=[one.annotation.id for one in good],
        published_box_xywh=[one.annotation.bbox for one in good],
        phrases=[one.phrases for one in good],
        counts=counts,
        area=[one.annotation.area for one in good],
    )
    table = np.array([one.scores for one in good], np.float64).reshape(len(good), len(SCORES))
    return made._replace(scores=dict(zip(SCORES, table.T, strict=True)))


SCORES = ("area_share", "clip_score", "confidence")
"""What filters may ask of a region: its published area over the image's, its first caption's CLIP score and confidence; NaN
where nothing is said."""


def _check_size(row: Mapping[str, Any], annotations: Mapping[TsvKey, _Annotation]) -> None:
    size_hw = row["height"], row["width"]
    for key, one in annotations.items():
        if one.image_size != size_hw:
            found = "{} x {}".format(*one.image_size[::-1])
            detail = f"region {key.region_id} says {found}, and the photo is {row['width']} x {row['height']}"
            raise BadRecordError("image_size_mismatch", detail)


class _Reader:
    """Reads the lines of one image."""

    def __init__(self, row: Mapping[str, Any], read: ReadMember, report: Report) -> None:
        self._row = row
        self._read = read
        self._report = report

    def reject(self, key: TsvKey | None, reason: str, detail: str) -> None:
        """Leave a region, or a line without a key, out."""
        region_id = 0 if key is None else key.region_id
        self._report.reject(Reject(self._row["image_id"], self._row["file_name"], reason, detail, region_id))

    def values(self, name: str, decoder: msgspec.json.Decoder[_Value]) -> dict[TsvKey, _Value]:
        """The JSON values of the image's lines in a file, by key, in the order of the file."""
        found: dict[TsvKey, _Value] = {}
        for key, text in lines_of(self._row["image_id"], self._read(name)):
            if key is None:
                self.reject(None, "file_record_invalid", f"{name}: {no_key(text).detail}")
            elif key in found:
                self.reject(key, "region_id_duplicate", f"two lines of the {name} have this key; the first one counts")
            else:
                try:
                    found[key] = decoder.decode(text)
                except NOT_DECODED as error:
                    self.reject(key, "file_record_invalid", f"{name}: {error}, found {shown_line(text)}")
        return found

    def region(
        self,
        key: TsvKey,
        annotation: _Annotation,
        captions: Mapping[TsvKey, list[_Caption]],
        scores: Mapping[TsvKey, list[_Score]] | None,
    ) -> _Region | None:
        """One region of the annotations with what the other files say of it; None, and a reject, where they do not."""
        said = captions.get(key, [])
        if annotation.id != key.region_id:
            self.reject(key, "file_record_invalid", f"annotations: the key's region is not the record's id, {annotation.id}")
        elif not said:
            self.reject(key, "phrase_missing", "no line of the captions has this key, or its list is empty")
        elif scores is not None and not scores.get(key):
            self.reject(key, "score_missing", "no line of the CLIP scores has this key, or its list is empty")
        elif not all(map(math.isfinite, annotation.bbox)):
            self.reject(key, "box_invalid", f"its box is {annotation.bbox}")
        else:
            confidence = math.nan if said[0].conf is None else said[0].conf
            clip_score = math.nan if scores is None else scores[key][0].clip_score
            share = annotation.area / (self._row["height"] * self._row["width"])
            return _Region(key, annotation, [one.caption for one in said], (share, clip_score, confidence))
        return None

    def with_masks(self, regions: list[_Region]) -> tuple[list[_Region], list[bytes]]:
        """The regions whose masks can be used, and their counts."""
        rles = [(one.annotation.segmentation.size, one.annotation.segmentation.counts) for one in regions]
        good, counts = [], []
        for one, found in zip(regions, compressed_rles(rles, self._row["height"], self._row["width"]), strict=True):
            if isinstance(found, BadRecordError):
                self.reject(one.key, found.reason, found.detail)
            else:
                good.append(one)
                counts.append(found)
        return good, counts
