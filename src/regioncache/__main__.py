"""``python -m regioncache`` and the ``regioncache`` command."""

from __future__ import annotations

import importlib.util
import sys


def main() -> None:
    """Run the command line; without its packages, say which extra has them."""
    if importlib.util.find_spec("typer") is None or importlib.util.find_spec("msgspec") is None:
        sys.exit("regioncache: the command line needs more packages; install regioncache[build]")
    from regioncache.cli.app import run  # noqa: PLC0415  (only where its packages are)

    run()


if __name__ == "__main__":
    main()
