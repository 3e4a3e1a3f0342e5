"""Real photos under other names and sizes, and archives of every kind."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def photo_of(shared: Path, image_id: int) -> bytes:
    """A real photo of COCO, by its id."""
    name = f"{image_id:012d}.jpg"
    for folder in ("coco_instance/tinycoco/images/train2017", "coco_panoptic/panopticapi_sample/input_images"):
        path = shared / "samples" / folder / name
        if path.exists():
            return path.read_bytes()
    raise FileNotFoundError(name)


def resized(photo: bytes, size_hw: tuple[int, int]) -> bytes:
    """The photo in the size that a published record says."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(photo)).convert("RGB").resize(size_hw[::-1]).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def size_of(photo: bytes) -> tuple[int, int]:
    """Height and width."""
    width, height = Image.open(io.BytesIO(photo)).size
    return height, width


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def write_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    """A zip whose members have a fixed date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            archive.writestr(info, data)


def tar_bytes(members: Mapping[str, bytes]) -> bytes:
    """A tar with an entry for each folder too, as tar itself writes them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folders = {f"{name.rpartition('/')[0]}/" for name in members if "/" in name}
        for folder in sorted(folders):
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    write_file(path, tar_bytes(members))


def write_tar_gz(path: Path, members: Mapping[str, bytes]) -> None:
    write_file(path, gzip.compress(tar_bytes(members), 1, mtime=0))
