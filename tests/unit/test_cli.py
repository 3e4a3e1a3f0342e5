"""What the command line prints of a cache, and how it fails."""

from __future__ import annotations

import base64
import io
import json
import shutil
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from PIL import Image

from regioncache.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit status of one call of the command."""
    monkeypatch.setattr("sys.argv", ["regioncache", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    code = stopped.value.code
    return code if isinstance(code, int) else 0


def test_info_counts_what_the_files_hold(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "info", made, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    tables = [pq.read_table(path) for path in (made / "samples").glob("*.parquet")]
    assert facts["rows"] == sum(map(len, tables)) == 12
    assert facts["counts"]["regions"] == sum(len(row) for table in tables for row in table["region_id"].to_pylist())
    assert facts["bytes"] == sum(path.stat().st_size for path in made.rglob("part-*.parquet"))
    assert set(facts["tokens"]) == {"byt5-sca-20"}
    assert set(facts["prompts"]) == {"sam", "square"}


def test_info_of_a_single_file(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = next(iter(sorted((made / "samples").glob("*.parquet"))))
    assert run(monkeypatch, "info", file, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["dataset"], facts["split"], facts["rows"]) == ("made", "train", pq.read_metadata(file).num_rows)


def test_info_for_people_names_the_dataset(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "info", made) == 0
    assert "made" in capsys.readouterr().out


@pytest.mark.parametrize("options", [[], ["--full"]])
def test_a_sound_cache_verifies(
    made: Path, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", made, "--json", *options) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sound"] is True
    assert facts["files"] == 12  # three shards of samples, tokens and two frames


def test_a_flipped_bit_is_found_and_named(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(made, cache)
    victim = sorted((cache / "tokens" / "byt5-sca-20").glob("*.parquet"))[1]
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.write_bytes(data)
    assert run(monkeypatch, "verify", cache) == 0
    assert run(monkeypatch, "verify", cache, "--full") == 1
    message = capsys.readouterr().err
    assert victim.name in message
    assert "expected sha256" in message
    assert "found" in message


def test_view_draws_the_photo_and_a_list(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "picture.png"
    assert run(monkeypatch, "view", made, 2, "--out", out, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["regions"] == len(facts["captions"]) > 0
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.height >= 640
        assert len(picture.getcolors(1 << 24) or []) > 1000


def test_view_beyond_the_end_says_how_many_there_are(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "view", made, 99, "--out", tmp_path / "x.png") == 1
    assert "has no sample 99 (expected 0 to 11, found 99)" in capsys.readouterr().err


def test_bench_prints_shapes_and_a_rate(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "bench", made, "--seconds", 0, "--batch-size", 4, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["samples_per_s"] > 0
    assert facts["batch"]["pixel_values"].startswith("uint8 (4, ")
    assert facts["batch"]["input_ids"].startswith("int64 (4, ")


def test_stats_tell_rejects_and_counts(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "stats", made, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["counts"]["images"] == 12
    assert facts["rejects"] == {}


def test_a_missing_cache_is_one_line_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "info", tmp_path) == 1
    error = capsys.readouterr().err
    assert error.startswith("regioncache: ")
    assert str(tmp_path) in error
    assert len(error.splitlines()) == 1


def test_du_adds_up_to_the_files(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    caches = made.parents[1]
    assert run(monkeypatch, "du", caches, "--json") == 0
    use = json.loads(capsys.readouterr().out)
    assert use["total"] == sum(path.stat().st_size for path in caches.rglob("*") if path.is_file())
    assert use["made/train/samples"] == sum(path.stat().st_size for path in (made / "samples").iterdir())


def test_gc_deletes_what_no_index_lists_and_nothing_else(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "caches" / "made" / "train"
    shutil.copytree(made, cache)
    before = {path for path in cache.rglob("*") if path.is_file()}
    strays = [
        cache / "samples" / ".tmp-77-part-00000-of-00003.parquet",
        cache / "samples" / "part-00000-of-00009.parquet",
        cache / "tokens" / "old-tokenizer" / "part-00000-of-00003.parquet",
    ]
    for stray in strays:
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"1234")
    assert run(monkeypatch, "gc", tmp_path / "caches", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["unneeded"]) == 3
    assert all(stray.exists() for stray in strays)
    assert run(monkeypatch, "gc", tmp_path / "caches", "--delete", "--json") == 0
    assert json.loads(capsys.readouterr().out)["freed_bytes"] == 12
    assert {path for path in cache.rglob("*") if path.is_file()} == before


def test_the_report_shows_every_cache_with_pictures(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report.html"
    assert run(monkeypatch, "report", made.parents[1], "--out", out, "--pictures", 2) == 0
    page = out.read_text()
    assert page.count("<h2>") == 1
    pictures = [part.split('"')[0] for part in page.split("data:image/jpeg;base64,")[1:]]
    assert len(pictures) == 2
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert image.width > 640
