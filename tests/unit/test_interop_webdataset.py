"""WebDataset tars as the standard library reads them: names, order, bytes, and nothing of the machine."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from built_cache import sample_rows
from regioncache.__main__ import main
from regioncache.errors import ConfigError
from regioncache.interop.webdataset import export_webdataset
from small_cache import sample_row, write_samples

if TYPE_CHECKING:
    from pathlib import Path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        found = {}
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
        return found


def test_every_image_is_a_pair_of_files_with_the_bytes_and_regions_of_the_cache(made: Path, tmp_path: Path) -> None:
    counts = export_webdataset(made, tmp_path / "out", images_per_tar=5)
    rows = sample_rows(made)
    regions = sum(len(row["region_id"]) for row in rows)
    assert counts == {"tars": 3, "images": 12, "regions": regions, "images_without_pixels": 0}
    tars = [members(path) for path in sorted((tmp_path / "out").iterdir())]
    assert [len(one) for one in tars] == [10, 10, 4]
    files = {name: data for one in tars for name, data in one.items()}
    assert list(files) == sorted(files)
    for place, row in enumerate(rows):
        assert files[f"{place:09d}.jpg"] == row["image"]["bytes"]
        record = json.loads(files[f"{place:09d}.json"])
        assert {key: record[key] for key in ("image_id", "file_name", "source", "split", "task_type", "width", "height")} == {
            key: row[key] for key in ("image_id", "file_name", "source", "split", "task_type", "width", "height")
        }
        for k, region in enumerate(record["regions"]):
            assert region["region_id"] == row["region_id"][k]
            assert region["box_xyxy"] == row["box_xyxy"][k]
            assert region["category_id"] == row["category_id"][k]
            assert region["category"] == row["phrases"][k][0]
            assert region["phrases"] == row["phrases"][k]
            assert region["segmentation"] == {"size": [row["height"], row["width"]], "counts": row["segmentation"][k]}
            assert (region["is_crowd"], region["is_thing"], region["area"], region["flags"]) == (
                row["is_crowd"][k],
                row["is_thing"][k],
                row["area"][k],
                [],
            )


def test_two_exports_are_the_same_bytes_and_tell_nothing_of_the_machine(made: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_webdataset(made, tmp_path / name)
    one, two = ((tmp_path / name / "000000.tar").read_bytes() for name in ("a", "b"))
    assert one == two
    with tarfile.open(tmp_path / "a" / "000000.tar") as tar:
        facts = {(member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode) for member in tar.getmembers()}
    assert facts == {(0, 0, 0, "", "", 0o644)}


def test_raw_pixels_become_png_and_other_files_keep_their_kind(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    rows: list[dict[str, Any]] = [
        sample_row(1, height=4, width=6, image=pixels.tobytes(), image_storage="raw"),
        sample_row(
            2, height=4, width=6, image=file.getvalue(), box_xyxy=[[0.5, 1, 2, 3]], flags=np.array([2]), phrases=[["è", "b"]]
        ),
        sample_row(3, height=4, width=6, image_storage="none", category_index=np.zeros(0, np.int32)),
    ]
    rows[1]["category_index"] = np.array([-1], np.int32)
    cache = write_samples(tmp_path / "cache" / "samples" / "part.parquet", rows)
    counts = export_webdataset(cache, tmp_path / "out")
    assert counts == {"tars": 1, "images": 3, "regions": 1, "images_without_pixels": 1}
    files = members(tmp_path / "out" / "000000.tar")
    assert list(files) == ["000000000.png", "000000000.json", "000000001.png", "000000001.json", "000000002.json"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(files["000000000.png"]))), pixels)
    assert files["000000001.png"] == file.getvalue()
    [region] = json.loads(files["000000001.json"])["regions"]
    assert (region["flags"], region["phrases"], region["category"], region["segmentation"]) == (
        ["occluded"],
        ["è", "b"],
        None,
        None,
    )
    assert region["box_xyxy"] == [0.5, 1, 2, 3]


def test_the_verb_writes_tars(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object) -> object:
        monkeypatch.setattr("sys.argv", ["regioncache", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code

    assert run(made, "webdataset", tmp_path / "out", "--images-per-tar", 4, "--json") == 0
    assert json.loads(capsys.readouterr().out)["tars"] == 3
    assert run(made, "panoptic", tmp_path / "other", "--images-per-tar", 4) == 1
    assert "--images-per-tar is about webdataset only" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="images_per_tar=0"):
        export_webdataset(made, tmp_path / "none", images_per_tar=0)
