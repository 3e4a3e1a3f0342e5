"""What ``regioncache plan`` says of a mix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from regioncache import ParquetRegionDataset
from regioncache.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit status of one call of the command."""
    monkeypatch.setattr("sys.argv", ["regioncache", "plan", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code if isinstance(stopped.value.code, int) else 0


def regions_of(path: Path) -> int:
    return sum(len(sample["metadata_region_id"]) for sample in map(ParquetRegionDataset(path, image=None).__getitem__, range(4)))


def test_a_plan_by_weight(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    file = min((made / "samples").glob("*.parquet"))
    options = ["--weight", "a=3", "--weight", "b=1", "--stop", "exhaust_once", "--batch-size", 2, "--ranks", 3, "--json"]
    assert run(monkeypatch, f"a={made}", f"b={file}", *options) == 0
    facts = json.loads(capsys.readouterr().out)
    # 12 and 4 rows in the proportion 3 : 1: one pass over both
    regions = regions_of(file)
    assert facts["sources"]["b"] == {"rows": 4, "samples": 4, "share": 0.25, "epochs": 1.0, "regions": regions}
    assert facts["sources"]["a"]["samples"] == 12
    assert facts["sources"]["total"]["regions"] == facts["sources"]["a"]["regions"] + regions
    assert facts["steps"] == 3


def test_a_plan_by_repeat_for_people(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    file = min((made / "samples").glob("*.parquet"))
    assert run(monkeypatch, f"half={made}", f"five={file}", "--repeat", "half=0.5", "--repeat", "five=5") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:5] == ["half", "12", "6", "23.1%", "2.00"]
    assert lines[2][:5] == ["five", "4", "20", "76.9%", "0.20"]
    assert lines[3][:5] == ["total", "16", "26", "100.0%", "2.00"]


@pytest.mark.parametrize(
    ("text", "samples", "steps"),
    [
        ("", [12, 12], None),
        ("batches: ratio\nbatch_size: 4\nepoch_length: 41\n", [30, 10], 10),
        ("batches: one_source\nbatch_size: 4\nranks: 2\n", [12, 4], 2),
        ("epoch_length: 100\n", [75, 25], None),
    ],
)
def test_a_plan_from_a_file(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, text: str, samples: list[int], steps: int | None
) -> None:
    weights = ["", ""] if not text else [", weight: 0.3", ", weight: 0.1"]
    sources = "".join(f"  {name}: {{cache: {made}{weight}}}\n" for name, weight in zip("ab", weights, strict=True))
    (tmp_path / "mix.yaml").write_text(f"sources:\n{sources}{text}")
    assert run(monkeypatch, "--mix", tmp_path / "mix.yaml", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert [facts["sources"][name]["samples"] for name in "ab"] == samples
    assert facts.get("steps") == steps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the caches to mix, or a file with --mix"),
        (["{made}", "{made}"], "two caches have the name"),
        (["a={made}", "--weight", "b=1"], "--weight b=1: expected NAME=NUMBER with one of the names a"),
        (["a={made}", "--weight", "a=much"], "'much' is no number"),
        (["a={made}", "--weight", "a=-1"], "sources.a.weight: Expected `float` > 0.0, found -1.0"),
        (["a={made}", "--weight", "a=1", "--stop", "never"], "stop: Expected one of stop_first, exhaust_once, repeat"),
        (["a={made}", "--weight", "a=1", "--repeat", "a=1"], "by weight or by repeat"),
        (["a={made}", "--stop", "stop_first"], "stop and epoch_length need weights"),
        (["a={made}", "--batches", "ratio", "--weight", "a=1"], "batches='ratio' needs batch_size"),
        (["a={made}/none"], "there is no finished cache here"),
        (["--mix", "{made}/none.yaml"], "this mix cannot be read"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str], message: str
) -> None:
    assert run(monkeypatch, *(one.format(made=made) for one in arguments)) == 1
    assert message in capsys.readouterr().err
