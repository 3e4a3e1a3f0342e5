"""The verb that writes a cache in the formats of others."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regioncache.cli.look import AsJson, CachePath  # noqa: TC001  (typer reads annotations at run time)
from regioncache.cli.progress import progress_bar
from regioncache.errors import ConfigError
from regioncache.interop.coco import export_coco
from regioncache.interop.instances import export_instances
from regioncache.interop.panoptic import export_panoptic
from regioncache.interop.semantic import export_semantic
from regioncache.interop.webdataset import IMAGES_PER_TAR, export_webdataset
from regioncache.sources import ade20k_panoptic

if TYPE_CHECKING:
    from collections.abc import Callable


class Form(StrEnum):
    """What can be written."""

    semantic = "semantic"
    panoptic = "panoptic"
    instances = "instances"
    coco = "coco"
    webdataset = "webdataset"


class ImageIds(StrEnum):
    """What images are known by in JSON files."""

    number = "number"
    stem = "stem"


class Names(StrEnum):
    """Whose names the categories of instances have."""

    cache = "cache"
    ade20k_instance = "ade20k_instance"


Out = Annotated[Path, typer.Argument(help="The folder to write; it must not hold anything yet.")]
IdsOfImages = Annotated[ImageIds, typer.Option("--image-id", help="Ids of images in JSON: numbers or stems of file names.")]
ImagesPerTar = Annotated[
    int | None, typer.Option("--images-per-tar", help=f"How many samples a tar of WebDataset has; {IMAGES_PER_TAR}.")
]
NamesOfInstances = Annotated[Names, typer.Option("--names", help="Names of the categories of instances.")]

_OTHER_NAMES: dict[Names, Callable[[], dict[int, str]]] = {Names.ade20k_instance: ade20k_panoptic.instance_names}


def export(
    cache: CachePath,
    form: Annotated[
        Form,
        typer.Argument(
            help="Grey PNGs of categories, COCO panoptic, COCO instances, all regions as COCO, or tars of WebDataset."
        ),
    ],
    out: Out,
    image_id: IdsOfImages = ImageIds.number,
    names: NamesOfInstances = Names.cache,
    images_per_tar: ImagesPerTar = None,
    as_json: AsJson = False,
) -> None:
    """Write a cache as semantic PNGs, COCO panoptic, COCO instances, all regions as COCO, or WebDataset."""
    if form not in (Form.panoptic, Form.instances) and image_id is not ImageIds.number:
        raise ConfigError("--image-id is about panoptic and instances only")
    if form is not Form.instances and names is not Names.cache:
        raise ConfigError("--names is about instances only")
    if form is not Form.webdataset and images_per_tar is not None:
        raise ConfigError("--images-per-tar is about webdataset only")
    with progress_bar(f"exporting {form.value}") as progress:
        if form is Form.semantic:
            counts = export_semantic(cache, out, progress=progress)
        elif form is Form.panoptic:
            counts = export_panoptic(cache, out, image_ids=image_id.value, progress=progress)
        elif form is Form.coco:
            counts = export_coco(cache, out, progress=progress)
        elif form is Form.webdataset:
            counts = export_webdataset(
                cache, out, images_per_tar=IMAGES_PER_TAR if images_per_tar is None else images_per_tar, progress=progress
            )
        else:
            other = _OTHER_NAMES.get(names)
            chosen = None if other is None else other()
            counts = export_instances(cache, out, image_ids=image_id.value, names=chosen, progress=progress)
    facts = {"out": str(out), **counts}
    typer.echo(json.dumps(facts, indent=1) if as_json else "\n".join(f"{key:<20}  {value}" for key, value in facts.items()))
