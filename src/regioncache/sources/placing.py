"""Parsed tables that name images, joined with the archives that hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from regioncache.sources.places import Place, place_columns, place_fields
from regioncache.sources.reports import Reject, Report

if TYPE_CHECKING:
    from regioncache.sources.places import MemberFolder


def is_placed(table: pa.Table) -> bool:
    """Whether a parsed table says where each row's image lies."""
    return "images.part" in table.schema.names


def place_images(table: pa.Table, folder: MemberFolder, report: Report | None = None) -> pa.Table:
    """The rows whose image the archives hold, with the place of each.

    A member is looked for under its part's prefix, with or without the ``./`` that some tars put in front of every name.

    Args:
        table: has ``file_name``, the name of each image below the folder.
        folder: where images lie.
        report: gets a reject for each other row; None where such rows belong to other archives.
    """
    found: dict[str, Place] = {}
    for k, part in enumerate(folder.parts):
        prefix = part.prefix.removeprefix("./")
        for name, member in part.members.items():
            plain = name.removeprefix("./")
            if plain.startswith(prefix):
                found.setdefault(plain[len(prefix) :], Place(k, member))
    held = pc.is_in(table["file_name"], pa.array(list(found), pa.string()))
    if report is not None:
        missing = table.filter(pc.invert(held)).select(["image_id", "file_name"])
        for row in missing.to_pylist():
            detail = f"the images archive has no member {row['file_name']} below {folder}"
            report.reject(Reject(row["image_id"], row["file_name"], "image_missing", detail))
    table = table.filter(held)  # piece by piece: of a mapped table, rows that are not held are not copied
    columns = place_columns("images", [found[name] for name in table["file_name"].to_pylist()])
    for field in place_fields("images"):
        table = table.append_column(field, pa.array(columns[field.name], field.type))
    return table
