"""The application: its verbs, and how errors are shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from regioncache.cli import build, export, fetch, look, plan
from regioncache.errors import RegioncacheError

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="regioncache",
    help="From public archives of region-annotated images to memory-mapped caches.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_VERBS: dict[str, tuple[Callable[..., None], ...]] = {
    "Look at a cache": (
        look.info,
        look.stats,
        look.verify,
        look.view,
        look.report,
        look.bench,
        look.du,
        look.gc,
        export.export,
        plan.plan,
    ),
    "Steps of a build (the workflow runs these)": (
        fetch.fetch,
        fetch.fetch_with_fiftyone,
        build.inflate,
        build.guard,
        build.parse,
        build.convert,
        build.tokenizer,
        build.tokenize,
        build.prompt,
        build.publish,
        build.draw_demo,
    ),
}
for _panel, _verbs in _VERBS.items():
    for _verb in _verbs:
        app.command(rich_help_panel=_panel)(_verb)


def run() -> None:
    """Run one verb; an error of ours is one line on stderr and exit status 1."""
    try:
        app()
    except RegioncacheError as error:
        sys.stderr.write(f"regioncache: {error}\n")
        sys.exit(1)
