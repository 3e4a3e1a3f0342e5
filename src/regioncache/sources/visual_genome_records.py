"""The record kinds of Visual Genome's JSON files, of all its versions, as regions.

Names of keys changed between the versions 1.0, 1.2 and 1.4: ``id`` became ``image_id``, ``region_id``, ``object_id`` and so
on; both are read. https://homes.cs.washington.edu/~ranjay/visualgenome/api_readme.html
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from regioncache.errors import AnnotationError, BadRecordError
from regioncache.sources.coco_records import Int32, Int64
from regioncache.sources.json_values import NOT_DECODED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regioncache.sources.record import AnnotationFile

_NOTHING = msgspec.Raw(b"")


def _known(new: int | None, old: int | None) -> int:
    found = old if new is None else new
    if found is None:
        raise BadRecordError("file_record_invalid", "it has no id")
    return found


class Photo(msgspec.Struct, gc=False):
    """What is used of an entry of ``image_data.json``; ``id`` is version 1.0's."""

    url: str
    width: Int32
    height: Int32
    image_id: Int64 | None = None
    id: Int64 | None = None
    coco_id: Int64 | None = None

    @property
    def key(self) -> int:
        """The image's id, whichever key has it."""
        return _known(self.image_id, self.id)


class ImageRecord(msgspec.Struct, gc=False):
    """An entry of the other files: one image, and its regions as JSON under the key of the file's content."""

    image_id: Int64 | None = None
    id: Int64 | None = None
    regions: msgspec.Raw = _NOTHING
    objects: msgspec.Raw = _NOTHING
    attributes: msgspec.Raw = _NOTHING
    relationships: msgspec.Raw = _NOTHING
    qas: msgspec.Raw = _NOTHING

    @property
    def key(self) -> int:
        """The image's id, whichever key has it."""
        return _known(self.image_id, self.id)


class Found(NamedTuple):
    """One region as the file has it; ``mask`` is the JSON of its mask, empty where there is none."""

    region_id: int
    box_xywh: tuple[float, float, float, float]
    phrases: list[str]
    mask: bytes = b""


class _Region(msgspec.Struct, gc=False):
    x: float
    y: float
    width: float
    height: float
    region_id: Int64 | None = None
    id: Int64 | None = None
    phrase: str | list[str] | None = None
    phrases: list[str] | None = None
    mask: msgspec.Raw = _NOTHING


class _Object(msgspec.Struct, gc=False):
    x: float
    y: float
    w: float
    h: float
    object_id: Int64 | None = None
    id: Int64 | None = None
    names: list[str] | None = None
    name: str | None = None
    attributes: list[str] | None = None

    @property
    def all_names(self) -> list[str]:
        """As a list, whichever key has them."""
        return self.names or ([] if self.name is None else [self.name])


class _Relationship(msgspec.Struct, gc=False):
    predicate: str
    subject: _Object
    object: _Object
    relationship_id: Int64 | None = None
    id: Int64 | None = None


class _QuestionAnswer(msgspec.Struct, gc=False):
    question: str
    answer: str
    qa_id: Int64 | None = None
    id: Int64 | None = None


def _box(one: _Object) -> tuple[float, float, float, float]:
    return one.x, one.y, one.w, one.h


def _regions(raw: msgspec.Raw, _photo: Photo) -> list[Found]:
    found = []
    for one in msgspec.json.decode(raw, type=list[_Region]):
        phrases = one.phrases if one.phrase is None else one.phrase
        texts = [phrases] if isinstance(phrases, str) else phrases or []
        found.append(Found(_known(one.region_id, one.id), (one.x, one.y, one.width, one.height), texts, bytes(one.mask)))
    return found


def _objects(raw: msgspec.Raw, _photo: Photo) -> list[Found]:
    return [
        Found(_known(one.object_id, one.id), _box(one), one.all_names) for one in msgspec.json.decode(raw, type=list[_Object])
    ]


def _attributes(raw: msgspec.Raw, _photo: Photo) -> list[Found]:
    found = []
    for one in msgspec.json.decode(raw, type=list[_Object]):
        names = one.all_names
        phrases = [f"{attribute} {name}" for attribute in one.attributes or () for name in names[:1]]
        found.append(Found(_known(one.object_id, one.id), _box(one), phrases or names))
    return found


def _relationships(raw: msgspec.Raw, _photo: Photo) -> list[Found]:
    found = []
    for one in msgspec.json.decode(raw, type=list[_Relationship]):
        ends = one.subject, one.object
        left, top = min(end.x for end in ends), min(end.y for end in ends)
        right, bottom = max(end.x + end.w for end in ends), max(end.y + end.h for end in ends)
        subjects, objects = one.subject.all_names, one.object.all_names
        phrases = [f"{subjects[0]} {one.predicate} {objects[0]}"] if subjects and objects else []
        found.append(Found(_known(one.relationship_id, one.id), (left, top, right - left, bottom - top), phrases))
    return found


def _question_answers(raw: msgspec.Raw, photo: Photo) -> list[Found]:
    box = 0.0, 0.0, float(photo.width), float(photo.height)
    return [
        Found(_known(one.qa_id, one.id), box, [f"{one.question} {one.answer}"])
        for one in msgspec.json.decode(raw, type=list[_QuestionAnswer])
    ]


class Content(NamedTuple):
    """A kind of file: under which key an image's regions stand, and what makes regions of their JSON."""

    key: str
    read: Callable[[msgspec.Raw, Photo], list[Found]]


CONTENTS = {
    "regions": Content("regions", _regions),
    "objects": Content("objects", _objects),
    "attributes": Content("attributes", _attributes),
    "relationships": Content("relationships", _relationships),
    "question_answers": Content("qas", _question_answers),
}
"""The kinds of files with one entry per image; a decoder raises what ``json_values.NOT_DECODED`` names, or ``BadRecordError``."""

_REMEDY = "Compare it with the files that Visual Genome publishes, or fetch it again"


def decoded(file: AnnotationFile, kind: Any, what: str) -> Any:  # noqa: ANN401  (what msgspec makes of the type)
    """A JSON file as the given type.

    Raises:
        AnnotationError: it is not ``what``.
    """
    try:
        return msgspec.json.decode(file.data, type=kind)
    except NOT_DECODED as error:
        raise AnnotationError(file.name, f"not {what}: {error}", remedy=_REMEDY) from error


def image_ids(file: AnnotationFile, records: Sequence[Photo | ImageRecord]) -> list[int]:
    """The image of each record of a file.

    Raises:
        AnnotationError: a record names none.
    """
    try:
        return [one.key for one in records]
    except BadRecordError as error:
        raise AnnotationError(file.name, "a record has neither image_id nor id", remedy=_REMEDY) from error


class RegionLists:
    """A file with one entry per image, whose regions are decoded when they are asked for.

    Attributes:
        image_ids: the images that have an entry.
    """

    def __init__(self, file: AnnotationFile, content: Content) -> None:
        records = decoded(file, list[ImageRecord], f"a list with the {content.key} of each image")
        if records and not any(bytes(getattr(one, content.key)) for one in records):
            raise AnnotationError(
                file.name,
                f"no image has {content.key!r}",
                expected=f"the {content.key} of each image",
                remedy="Choose the `content` of the catalog entry by the file's name",
            )
        self._content = content
        self._times = Counter(image_ids(file, records))
        self._raw: dict[int, msgspec.Raw] = {one.key: getattr(one, content.key) for one in records}
        self.image_ids = set(self._raw)

    def count(self, image_id: int) -> int:
        """How many regions the file has of an image, whether or not they can be read."""
        try:
            return len(msgspec.json.decode(self._raw.get(image_id, b"[]"), type=list[msgspec.Raw]))
        except NOT_DECODED:
            return 0

    def of_image(self, image_id: int, photo: Photo) -> list[Found]:
        """The regions of one image, in the file's order; none for an image without an entry.

        Raises:
            BadRecordError: ``annotation_duplicate`` or ``file_record_invalid``.
        """
        if image_id not in self._raw:
            return []
        if self._times[image_id] > 1:
            raise BadRecordError("annotation_duplicate", f"{self._times[image_id]} entries name image {image_id}")
        try:
            return self._content.read(self._raw[image_id], photo)
        except NOT_DECODED as error:
            raise BadRecordError("file_record_invalid", f"its {self._content.key} cannot be read: {error}") from error
