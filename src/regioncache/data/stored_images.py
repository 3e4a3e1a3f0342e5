"""The stored image of a row: in the shard, or left in its archive, which the reader then maps itself."""

from __future__ import annotations

import os
import zlib
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from regioncache.archive.member import DEFLATED
from regioncache.cache.mapping import MappedFile
from regioncache.cache.rows import MappedRows
from regioncache.data.pixels import EncodedImage
from regioncache.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from regioncache.data.open_cache import OpenShard


_IN_SHARD = ("original", "fit", "raw")


def image_reader(shard: OpenShard) -> Callable[[tuple[int, ...]], EncodedImage]:
    """``encoded_image`` of a mapped shard's records, quicker for images that lie in the shard."""
    rows = shard.samples
    if not isinstance(rows, MappedRows):
        return partial(encoded_image, shard)
    k_id, k_height, k_width = map(rows.place_of, ("image_id", "image_height", "image_width"))
    binary, text, path = rows.binary, rows.text, rows.path

    def read(record: tuple[int, ...]) -> EncodedImage:
        storage = text(record, "image_storage")
        if storage not in _IN_SHARD:
            return encoded_image(shard, record)
        data = binary(record, "image.bytes")
        return EncodedImage(data, record[k_height], record[k_width], storage == "raw", path, record[k_id])

    return read


def encoded_image(shard: OpenShard, record: tuple[int, ...]) -> EncodedImage:
    """The stored image of a row, not decoded.

    Raises:
        CacheError: the cache was built without images, or the archive of a referenced one is not there.
    """
    rows = shard.samples
    storage = rows.text(record, "image_storage")
    image_id = rows.integer(record, "image_id")
    if storage == "reference":
        data = _from_archive(shard, record, f"{rows.path}: image {image_id}")
    elif storage == "none":
        raise CacheError(
            f"{rows.path}: image {image_id}", "the cache was built without images", remedy="Pass image=None, or set image.storage"
        )
    else:
        data = rows.binary(record, "image.bytes")
    return EncodedImage(
        data, rows.integer(record, "image_height"), rows.integer(record, "image_width"), storage == "raw", rows.path, image_id
    )


def _from_archive(shard: OpenShard, record: tuple[int, ...], name: str) -> NDArray[np.uint8]:
    rows = shard.samples
    archive = rows.text(record, "image_archive")
    if shard.origin.archives is None:
        raise CacheError(name, f"its bytes lie in the archive {archive}", remedy="Pass archives=, the folder that holds it")
    return referenced_bytes(
        shard.origin.archives / archive,
        offset=rows.integer(record, "image_offset"),
        length=rows.integer(record, "image_length"),
        method=rows.integer(record, "image_method"),
        process=os.getpid(),
        name=name,
    )


@lru_cache(maxsize=256)
def _mapped(path: Path, process: int) -> MappedFile:  # noqa: ARG001  (each process maps for itself)
    return MappedFile(path)


def referenced_bytes(archive: Path, *, offset: int, length: int, method: int, process: int, name: str) -> NDArray[np.uint8]:
    """The bytes of an image inside an archive.

    Args:
        archive: the archive file.
        offset: where the member's data begin, in bytes.
        length: how many bytes they take there.
        method: 0 stored, 8 deflated.
        process: the reader's process id.
        name: which image this is, for errors.

    Returns:
        uint8, a read-only view of the archive where the member is stored.

    Raises:
        CacheError: the archive is missing, shorter than the reference, or its bytes do not inflate.
    """
    file = _mapped(archive, process)
    if offset + length > len(file.data):
        raise CacheError(
            name,
            f"the archive {archive} is not the one that the cache refers to",
            expected=f"at least {offset + length} bytes",
            found=f"{len(file.data)} bytes",
            remedy="Put the right archive there, or build the cache with image.storage auto",
        )
    file.will_need(offset, length)
    data = file.data[offset : offset + length]
    if method != DEFLATED:
        return data
    try:
        return np.frombuffer(zlib.decompress(data, -zlib.MAX_WBITS), np.uint8)
    except zlib.error as error:
        raise CacheError(name, f"its bytes in {archive} do not inflate ({error})", remedy="Fetch the archive again") from error
