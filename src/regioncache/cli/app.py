"""The application: its verbs, and how errors are shown."""

from __future__ import annotations

import sys

import typer

from regioncache.cli import build, look
from regioncache.errors import RegioncacheError

app = typer.Typer(
    name="regioncache",
    help="From public archives of region-annotated images to memory-mapped caches.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

for verb in (look.info, look.stats, look.verify, look.view, look.bench):
    app.command(rich_help_panel="Look at a cache")(verb)
for verb in (
    build.fetch,
    build.parse,
    build.convert,
    build.tokenizer,
    build.tokenize,
    build.prompt,
    build.publish,
    build.draw_demo,
):
    app.command(rich_help_panel="Steps of a build (the workflow runs these)")(verb)


def run() -> None:
    """Run one verb; an error of ours is one line on stderr and exit status 1."""
    try:
        app()
    except RegioncacheError as error:
        sys.stderr.write(f"regioncache: {error}\n")
        sys.exit(1)
