"""The README's training loop, run as it stands there: it learns, and a stopped run goes on as if it had not been stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

README = Path(__file__).resolve().parents[2] / "README.md"
STEPS, SAVED, STOPPED, RESUMED = 120, 40, 50, 70


@pytest.fixture
def train(made: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], list[float]]:
    """Runs the loop in a folder for so many steps; its losses."""
    found = re.search(r"```python\n(from pathlib import Path.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    text = found[1]
    assert text.count("200, 20\n") == 1

    def run(folder: Path, steps: int) -> list[float]:
        demo = folder / ".data.cache" / "demo"
        demo.mkdir(parents=True, exist_ok=True)
        if not (demo / "train").exists():
            (demo / "train").symlink_to(made)
        monkeypatch.chdir(folder)
        names: dict[str, list[float]] = {}
        exec(compile(text.replace("200, 20\n", f"{steps}, {SAVED}\n"), str(README), "exec"), names)  # noqa: S102  (the README's own text)
        return names["losses"]

    return run


def test_the_readmes_loop_learns_and_a_stopped_run_gives_the_losses_of_an_unbroken_one(
    tmp_path: Path, train: Callable[[Path, int], list[float]]
) -> None:
    whole = train(tmp_path / "whole", STEPS)
    assert len(whole) == STEPS
    first, last = sum(whole[:10]) / 10, sum(whole[-10:]) / 10
    assert last < first / 5  # from nearly ln 384 = 5.95, where nothing is known, to the captions known by heart
    stopped = train(tmp_path / "stopped", STOPPED)  # saved at step 40, lost at step 50
    assert stopped == whole[:STOPPED]
    assert train(tmp_path / "stopped", RESUMED) == whole[SAVED:RESUMED]
