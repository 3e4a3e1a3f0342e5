"""Archives that are compressed as a whole are inflated once, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import multiprocessing
import os
import random
import tarfile
import zlib
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from regioncache.archive import OpenArchive, inflated_file, list_members
from regioncache.catalog import Archive, Dataset, Folder, Licence, Member, Split
from regioncache.errors import ArchiveError, ConfigError
from regioncache.steps.convert import convert_shard
from regioncache.steps.inputs import SplitInputs
from regioncache.steps.parse import parse_annotations
from regioncache.steps.row_maker import ConvertOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {"a.jpg": b"a", "images/b.jpg": bytes(range(256)) * 40}


def tar_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write(path: Path, data: bytes) -> tuple[Path, str]:
    """A file and its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def test_a_compressed_tar_is_inflated_once_and_then_read_in_place(tmp_path: Path) -> None:
    tar = tar_bytes(FILES)
    path, sha256 = write(tmp_path / "patch0.tar.gz", gzip.compress(tar))
    where = inflated_file(path, tmp_path / "spool", content=sha256)
    assert where.read_bytes() == tar
    with OpenArchive(where) as archive:
        assert {name: archive.read(one) for name, one in list_members(where).items()} == FILES
    inode = where.stat().st_ino
    assert inflated_file(path, tmp_path / "spool", content=sha256) == where
    assert where.stat().st_ino == inode
    assert left_behind(tmp_path / "spool") == [where.name]


def test_several_compressed_parts_one_after_the_other_are_one_file(tmp_path: Path) -> None:
    path, sha256 = write(tmp_path / "x.json.gz", gzip.compress(b"first, ") + gzip.compress(b"second"))
    assert inflated_file(path, tmp_path, content=sha256).read_bytes() == b"first, second"


def test_another_content_under_the_same_name_is_inflated_beside_it(tmp_path: Path) -> None:
    found = []
    for text in (b"old", b"new"):
        path, sha256 = write(tmp_path / "x.tar.gz", gzip.compress(text))
        found.append(inflated_file(path, tmp_path / "spool", content=sha256))
    assert [one.read_bytes() for one in found] == [b"old", b"new"]


def test_the_same_name_in_two_folders_is_two_files(tmp_path: Path) -> None:
    pairs = [write(tmp_path / folder / "patch0.tar.gz", gzip.compress(folder.encode())) for folder in ("train", "val")]
    assert [inflated_file(*pair[:1], tmp_path, content=pair[1]).read_bytes() for pair in pairs] == [b"train", b"val"]


WHOLE = gzip.compress(random.Random(0).randbytes(100) + bytes(1_000_000), mtime=0)  # noqa: S311  (no secret)


def with_crc32(data: bytes, crc32: int) -> bytes:
    return data[:-8] + crc32.to_bytes(4, "little") + data[-4:]


DAMAGE: dict[str, bytes] = {
    "cut in the middle": WHOLE[: len(WHOLE) // 2],
    "cut before the checksum": WHOLE[:-8],
    "cut in the checksum": WHOLE[:-2],
    "cut in the header": WHOLE[:5],
    "another checksum": with_crc32(WHOLE, zlib.crc32(b"something else")),
    "another length": WHOLE[:-4] + b"\x01\x02\x03\x04",
    "a damaged stream": WHOLE[:60] + bytes(40) + WHOLE[100:],
    "something behind it": WHOLE + b"<html>",
    "no gzip at all": b"PK\x03\x04" + bytes(40),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_an_error_and_leaves_nothing_behind(tmp_path: Path, case: str) -> None:
    path, sha256 = write(tmp_path / "x.tar.gz", DAMAGE[case])
    with pytest.raises(ArchiveError, match=rf"{path}: cannot be inflated: .+Fetch the archive again") as caught:
        inflated_file(path, tmp_path / "spool", content=sha256)
    assert caught.value.path == str(path)
    assert left_behind(tmp_path / "spool") == []


def inflate(path: Path, sha256: str, folder: Path, start: Callable[[], object]) -> None:
    start()
    assert len(inflated_file(path, folder, content=sha256).read_bytes()) == 4_000_000


def test_processes_that_inflate_the_same_file_at_once_agree(tmp_path: Path) -> None:
    path, sha256 = write(tmp_path / "x.tar.gz", gzip.compress(os.urandom(4_000_000), 1))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    workers = [context.Process(target=inflate, args=(path, sha256, tmp_path / "s", barrier.wait)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(left_behind(tmp_path / "s")) == 1


def captions_inputs(folder: Path) -> SplitInputs:
    """COCO captions of two images, with annotations and images in compressed tars of their own."""
    document = {
        "images": [{"id": k, "file_name": f"{k}.jpg", "width": 4, "height": 4} for k in (1, 2)],
        "annotations": [{"id": k, "image_id": k, "caption": "a cup"} for k in (1, 2)],
    }
    archives = folder / "archives"
    write(archives / "annotations.json.gz", gzip.compress(json.dumps(document).encode()))
    for k in (1, 2):
        write(archives / f"patch{k}.tar.gz", gzip.compress(tar_bytes({f"images/{k}.jpg": b"%d" % k})))
    keys = {"annotations": "annotations.json.gz", "patch_1": "patch1.tar.gz", "patch_2": "patch2.tar.gz"}
    split = Split(
        shards=1,
        files={"annotations": Member(archive="annotations")},
        folders={"images": tuple(Folder(archive=f"patch_{k}", prefix="images/") for k in (1, 2))},
    )
    dataset = Dataset(
        name="small",
        title="x",
        format="coco_captions",
        homepage="x",
        licence=Licence(annotations="x", images="x"),
        citation="x",
        exif="ignore",
        task_type="caption",
        archives={key: Archive(path=path, kind="gzip", by_hand="x") for key, path in keys.items()},
        splits={"train": split},
    )
    return SplitInputs(dataset, "train", archives, folder / "spool")


def test_a_split_reads_files_and_folders_of_compressed_archives(tmp_path: Path) -> None:
    inputs = captions_inputs(tmp_path)
    with ExitStack() as stack:
        data = inputs.files(stack)["annotations"].data
        assert json.loads(bytes(data))["annotations"][1]["caption"] == "a cup"
        del data
    places = [inputs.member_folder(inputs.folders()["images"]).find(f"{k}.jpg") for k in (1, 2)]
    for k, place in enumerate(places):
        assert place is not None
        assert place.part == k
        path, window = inputs.folder_file(inputs.folders()["images"][place.part])
        assert window is None
        with OpenArchive(path) as archive:
            assert archive.read(place.member) == b"%d" % (k + 1)


def test_images_of_compressed_archives_cannot_be_referenced(tmp_path: Path) -> None:
    inputs = captions_inputs(tmp_path)
    annotations = tmp_path / "annotations.arrow"
    parse_annotations(inputs, annotations)
    with pytest.raises(ConfigError, match=r"small: image\.storage reference needs images in archives that are not compressed"):
        convert_shard(
            inputs,
            0,
            annotations=annotations,
            out=tmp_path / "x.parquet",
            report_path=tmp_path / "x.json",
            options=ConvertOptions(storage="reference"),
        )


def test_what_inflates_to_far_more_than_it_is_goes_no_further(tmp_path: Path) -> None:
    bomb = tmp_path / "zeros.gz"
    bomb.write_bytes(gzip.compress(bytes(64 << 20)))  # deflate reaches a ratio of a thousand
    with pytest.raises(ArchiveError, match=f"zeros.gz: is a likely bomb.*expected at most {250 * bomb.stat().st_size} bytes"):
        inflated_file(bomb, tmp_path / "spool", content="0" * 64)
    assert not [path for path in (tmp_path / "spool").iterdir() if path.suffix != ".lock"]
