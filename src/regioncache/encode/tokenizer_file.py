"""A saved tokenizer in one file, so that it travels with its tokens wherever files are kept."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from regioncache.atomic import atomic_path
from regioncache.encode.tokens import load_saved
from regioncache.errors import TokenizerError

if TYPE_CHECKING:
    from regioncache.encode.tokens import Tokenizer

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold: the same tokenizer gives the same bytes at any time


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write a stored zip of the files of ``Tokenizer.save``, whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as packed:
            for file in sorted(one for one in Path(folder).iterdir() if one.is_file()):
                packed.writestr(zipfile.ZipInfo(file.name, _DATE), file.read_bytes())


def open_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that ``save_tokenizer`` wrote.

    Raises:
        TokenizerError: the file holds none, or was altered.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as packed:
                for name in packed.namelist():
                    (Path(folder) / Path(name).name).write_bytes(packed.read(name))
        except (OSError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
            raise TokenizerError(f"{path}: expected a saved tokenizer: {error}. Encode the tokens again") from error
        return load_saved(Path(folder))
