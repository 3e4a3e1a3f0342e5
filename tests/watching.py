"""Looks at a run while it goes on, and for secrets where none may be: in argument lists, and in the files that it leaves."""

from __future__ import annotations

import base64
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workspace import Workspace


class Sampler:
    """Watches the argument lists of every process of the machine."""

    def __init__(self, needles: list[bytes]) -> None:
        self.needles = needles
        self.programs: set[str] = set()
        self.rounds = 0

    def look(self) -> None:
        self.rounds += 1
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes()
                if any(needle in words for needle in self.needles):
                    self.programs.add((folder / "exe").readlink().name)


@contextmanager
def looking(look: Callable[[], None], every_s: float) -> Iterator[None]:
    """Look again and again, in a thread of its own."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(every_s):
            look()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def sampling(tokens: list[str]) -> Iterator[Sampler]:
    sampler = Sampler([needle for token in tokens for needle in needles_of(token)])
    with looking(sampler.look, 0.005):
        yield sampler


def needles_of(token: str) -> list[bytes]:
    """The signature of a token as it stands, decoded, encoded once more, as bytes, and its beginning."""
    escaped = token.rpartition("sig=")[2]
    plain = unquote(escaped)
    forms = {escaped, plain, quote(escaped, safe=""), escaped.lower(), plain[:16]}
    return [*(form.encode() for form in forms), base64.b64decode(plain)]


def assert_in_no_file(workspace: Workspace, tokens: list[str], *, but: tuple[str, ...] = ()) -> None:
    """Search every file below a workspace, its home included."""
    files = [path for path in workspace.folder.rglob("*") if path.is_file() and path.name not in but]
    assert len(files) > 20
    needles = [needle for token in tokens for needle in needles_of(token)]
    assert [str(path) for path in files for needle in needles if needle in path.read_bytes()] == []
