"""A saved tokenizer in one file, so that it travels with its tokens wherever files are kept."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from regioncache.atomic import atomic_path, write_error
from regioncache.encode.tokenizer import BYT5
from regioncache.encode.tokens import load_saved
from regioncache.errors import DiskFullError, TokenizerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regioncache.encode.tokens import Tokenizer

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold: the same tokenizer gives the same bytes at any time


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write a stored zip of the files of ``Tokenizer.save``, whole or not at all."""
    with _scratch_folder(path) as folder:
        tokenizer.save(folder)
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as packed:
            for file in sorted(one for one in folder.iterdir() if one.is_file()):
                packed.writestr(zipfile.ZipInfo(file.name, _DATE), file.read_bytes())


def open_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that ``save_tokenizer`` wrote.

    Raises:
        TokenizerError: the file holds none, or was altered.
        DiskFullError: there is no room for its files beside each other, as the libraries want them.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            files = {Path(name).name: packed.read(name) for name in packed.namelist()}
    except (OSError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise TokenizerError(f"{path}: expected a saved tokenizer: {error}. Encode the tokens again") from error
    with _scratch_folder(path) as folder:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        tokenizer = load_saved(folder)
        if tokenizer.identity != BYT5:
            tokenizer.library  # noqa: B018  (loads what lies in the folder, before it goes; ByT5 has nothing there)
        return tokenizer


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder)
        except OSError as error:
            if not isinstance(write_error(path, error), DiskFullError):
                raise
            raise DiskFullError(
                error.errno,
                f"no space left while writing the files of {path} to {folder}. Nothing half-written was kept: free space"
                " on that disk, or set TMPDIR to a larger one, and run the same command again",
            ) from error
