"""Catalog entries made to harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hostile.readers.entries import CATALOG
from regioncache.entries import load_dataset_entry
from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "options: &a {again: *a}",
        "&a [*a]",
        "x: 2020-99-99",
        "x: !!timestamp x",
        "x: !!float x",
        "x: !!bool x",
        "x: !!int ''",
        "x: !!python/object/apply:os.system [id]",
        "x: !!python/name:os.system",
        "? [a]\n: b",
        "{" * 5000,
        "[" * 100_000,
        "x: " + "9" * 5000,
        "\x00",
        "--- 1\n--- 2",
    ],
)
def test_yaml_that_is_no_plain_entry_is_an_error_with_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "entry.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"entry\.yaml: ") as caught:
        load_dataset_entry(path)
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize(
    "archive",
    [
        {"path": "a/{n}.zip", "numbers": [0, 2**62]},
        {"path": "a/{n:0999999999d}.zip", "numbers": [0, 1]},
    ],
)
def test_a_series_without_end_is_refused(tmp_path: Path, archive: dict[str, Any]) -> None:
    entry = yaml.safe_load((CATALOG / "demo.yaml").read_text())
    entry["archives"]["more"] = {"kind": "zip", "urls": ["https://example.org/{n}"], **archive}
    path = tmp_path / "entry.yaml"
    path.write_text(yaml.safe_dump(entry))
    with pytest.raises(ConfigError, match=r"archives\.more"):
        load_dataset_entry(path)
