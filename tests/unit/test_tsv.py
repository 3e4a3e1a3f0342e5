"""TSV files of a JSON value per region: where lines lie, whose they are, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from regioncache.errors import AnnotationError
from regioncache.sources.record import AnnotationFile
from regioncache.sources.tsv import TsvKey, image_windows, line_starts, lines_of

if TYPE_CHECKING:
    from pathlib import Path

LINES = [b"11-0-110\tone\n", b"11-1-111\ttwo\n", b"3-0-30\tthree\n", b"11-2-112\tfour\n"]


def tsv(data: bytes, name: str = "a.tsv") -> AnnotationFile:
    return AnnotationFile(name, data)


def index_of(lines: list[bytes], name: str) -> AnnotationFile:
    starts = np.cumsum([0, *map(len, lines[:-1])])
    return tsv(starts.astype("<u8").tobytes() if name.endswith("8b") else "\n".join(map(str, starts.tolist())).encode(), name)


@pytest.mark.parametrize("kind", [None, "lineidx", "lineidx.8b"])
def test_the_offsets_and_keys_are_those_of_the_original(shared: Path, kind: str | None) -> None:
    golden = json.loads((shared / "goldens/sca/expected/tsv.json").read_bytes())
    folder = shared / "goldens/sca" / golden["dir"]
    for name, expected in golden["files"].items():
        data = (folder / name).read_bytes()
        sidecar = None if kind is None else folder / f"{name.removesuffix('.tsv')}.{kind}"
        index = None if sidecar is None else AnnotationFile(str(sidecar), sidecar.read_bytes())
        starts = line_starts(tsv(data), index)
        assert starts.tolist() == expected["offsets"]
        keys = [TsvKey(*map(int, key.split("-"))) for key in expected["keys_stripped"]]
        windows = image_windows(tsv(data), index)
        assert windows.lines == expected["rows"]
        assert windows.image_id.tolist() == sorted({key.image_id for key in keys})
        found = [
            (key, value)
            for image_id, start, end in zip(windows.image_id, windows.start, windows.end, strict=True)
            for key, value in lines_of(int(image_id), data[start:end])
        ]
        assert [key for key, _ in found] == keys
        assert (found[0][1].decode(), found[-1][1].decode()) == (expected["first_row"][1], expected["last_row"][1])


@pytest.mark.parametrize("kind", [None, "a.lineidx", "a.lineidx.8b"])
def test_a_window_reaches_from_an_images_first_line_to_its_last_and_others_lines_in_it_are_passed_over(kind: str | None) -> None:
    data = b"".join(LINES)
    windows = image_windows(tsv(data), None if kind is None else index_of(LINES, kind))
    assert windows.image_id.tolist() == [3, 11]
    assert [data[start:end] for start, end in zip(windows.start, windows.end, strict=True)] == [LINES[2], data]
    assert [value for _, value in lines_of(11, data)] == [b"one", b"two", b"four"]


def test_the_last_line_needs_no_end_and_blank_lines_are_no_lines() -> None:
    data = b"\n".join([b"7-0-70\ta", b"", b"  ", b"8-0-80\tb"])
    windows = image_windows(tsv(data))
    assert (windows.image_id.tolist(), windows.lines, windows.bad_lines.tolist()) == ([7, 8], 2, [])
    assert list(lines_of(8, data)) == [((8, 0, 80), b"b")]


@pytest.mark.parametrize("line", [b"x-0-1\ta", b"-1-0\ta", b"12\ta", b"1" * 19 + b"-0-1\ta", b"\xff\xfe-0\ta"])
def test_a_line_without_an_image_id_is_told_by_its_place(line: bytes) -> None:
    windows = image_windows(tsv(LINES[0] + line + b"\n" + LINES[2]))
    assert (windows.bad_lines.tolist(), windows.image_id.tolist(), windows.lines) == ([1], [3, 11], 3)


def test_a_line_of_an_image_with_a_malformed_key_has_none() -> None:
    assert list(lines_of(11, b"11-x-1\ta\n11-0\tb\n3-x-1\tc\n")) == [(None, b"11-x-1\ta"), (None, b"11-0\tb")]


def test_a_tab_in_a_value_belongs_to_it_and_white_space_around_fields_does_not() -> None:
    assert list(lines_of(8, b' 8-0-800 \t {"a":\t1} \r\n')) == [((8, 0, 800), b'{"a":\t1}')]


def test_an_id_longer_than_the_key_may_be_or_of_many_digits_is_exact() -> None:
    ids = [0, 9, 10**17 + 3, 10**18 - 1]
    data = b"".join(b"%d-0-1\tx\n" % one for one in ids)
    assert image_windows(tsv(data)).image_id.tolist() == ids


BAD = {
    "stale: a line more": (lambda starts: starts[:-1], "a.lineidx.8b"),
    "of another file": (lambda starts: starts + (starts > 0), "a.lineidx.8b"),
    "falling": (lambda starts: starts[::-1], "a.lineidx.8b"),
    "beyond the end": (lambda starts: np.append(starts, 10**6), "a.lineidx.8b"),
    "empty": (lambda starts: starts[:0], "a.lineidx"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_line_index_that_does_not_fit_is_named_with_its_file(case: str) -> None:
    change, name = BAD[case]
    starts = change(np.cumsum([0, *map(len, LINES[:-1])]))
    data = starts.astype("<u8").tobytes() if name.endswith("8b") else "\n".join(map(str, starts.tolist())).encode()
    with pytest.raises(AnnotationError, match=r"this line index is not that of a\.tsv") as caught:
        line_starts(tsv(b"".join(LINES)), tsv(data, name))
    assert caught.value.path == name


@pytest.mark.parametrize(("data", "name"), [(b"12345", "a.lineidx.8b"), (b"0\nx\n", "a.lineidx")])
def test_a_file_that_is_no_line_index_is_refused(data: bytes, name: str) -> None:
    with pytest.raises(AnnotationError, match="this is no line index"):
        line_starts(tsv(b"".join(LINES)), tsv(data, name))


def test_a_file_whose_images_are_scattered_is_refused_before_it_is_read_many_times() -> None:
    value = b"x" * 1000
    data = b"".join(b"%d-%d-1\t%s\n" % (image, place, value) for place in range(20) for image in range(200))
    with pytest.raises(AnnotationError, match="the lines of one image lie far apart"):
        image_windows(tsv(data))
