"""Verbs that bring data to this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from regioncache.cli.build import ARCHIVES, Archives, Entry
from regioncache.entries import load_dataset_entry
from regioncache.errors import ConfigError
from regioncache.fetch.archive import fetch_archive
from regioncache.fetch.azure import AzureOptions, AzureTool
from regioncache.fetch.dotenv import read_dotenv
from regioncache.fetch.fiftyone import PYTHON, OpenImagesSplit
from regioncache.fetch.fiftyone import fetch_with_fiftyone as fetch_split
from regioncache.fetch.sas import Tokens, parse_sas_options

Offline = Annotated[bool, typer.Option(help="Open no socket: local mirrors only.")]
TimeoutS = Annotated[float, typer.Option(help="Seconds without a byte before a connection counts as dead.")]


def _log(line: str) -> None:
    typer.echo(line, err=True)


def fetch(
    entry: Entry,
    archive: Annotated[str, typer.Argument(help="Key of the archive in the catalog entry.")],
    archives: Archives = ARCHIVES,
    mirror: Annotated[list[str] | None, typer.Option(help="Folder, file or URL prefix to try first; repeatable.")] = None,
    mirror_of: Annotated[
        list[str] | None, typer.Option(help="DATASET=PLACE: tried before those for this dataset alone; repeatable.")
    ] = None,
    sas: Annotated[
        list[str] | None,
        typer.Option(help="PREFIX=NAME: the variable, in the environment or .env, with the token of such URLs; repeatable."),
    ] = None,
    sas_margin_s: Annotated[float, typer.Option(help="Seconds that a token must still be valid at the start.", min=0)] = 900,
    planned_mb_s: Annotated[float, typer.Option(help="MB/s at which a token must outlast its file.", min=0.001)] = 10,
    azure_tool: Annotated[AzureTool, typer.Option(help="What fetches from Azure.")] = "azcopy",
    azure_host: Annotated[
        list[str] | None, typer.Option(help="HOST:PORT of another blob storage, such as an emulator; repeatable.")
    ] = None,
    offline: Offline = False,
    tries: Annotated[int, typer.Option(help="Attempts per mirror.", min=1)] = 6,
    timeout_s: TimeoutS = 30,
) -> None:
    """Bring one archive to this machine, and verify it."""
    dataset = load_dataset_entry(entry)
    if archive not in dataset.archives:
        raise ConfigError(f"{entry}: there is no archive {archive!r}; it has {', '.join(dataset.archives)}")
    own_mirrors = [place for name, equals, place in (option.partition("=") for option in mirror_of or ()) if name == dataset.name]
    names = parse_sas_options(sas or [])
    variables = {**read_dotenv(Path(".env")), **os.environ} if names else {}
    path = fetch_archive(
        dataset.archives[archive],
        archives / dataset.archives[archive].path,
        mirrors=[*own_mirrors, *(mirror or ())],
        tokens=Tokens(names, variables, sas_margin_s, planned_mb_s),
        azure=AzureOptions(azure_tool, tuple(azure_host or ())),
        offline=offline,
        tries=tries,
        timeout_s=timeout_s,
        log=_log,
    )
    typer.echo(path)


def fetch_with_fiftyone(
    split: Annotated[OpenImagesSplit, typer.Argument(help="Split of Open Images.")],
    out: Annotated[Path, typer.Argument(help="Folder that is made: data/, labels/, metadata/.")],
    python: Annotated[Path, typer.Option(help="Interpreter of the environment with FiftyOne.")] = PYTHON,
    mirror: Annotated[str | None, typer.Option(help="Base address that replaces those of the publisher.")] = None,
    offline: Offline = False,
    tries: Annotated[int, typer.Option(help="Attempts in a row that bring nothing.", min=1)] = 6,
    timeout_s: TimeoutS = 30,
    workers: Annotated[int | None, typer.Option(help="Photos at a time.", min=1)] = None,
    max_images: Annotated[int | None, typer.Option(help="Only so many photos, the first by id, for a trial.", min=1)] = None,
) -> None:
    """Bring a split of Open Images to this machine through FiftyOne's downloader."""
    path = fetch_split(
        split,
        out,
        python=python,
        mirror=mirror,
        offline=offline,
        tries=tries,
        timeout_s=timeout_s,
        workers=workers,
        max_images=max_images,
        log=_log,
    )
    typer.echo(path)
