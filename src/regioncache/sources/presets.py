"""Named filters that regions pass on their way into a cache, in named orders: the presets.

Each filter counts the regions before and after it, and each region that it leaves out is listed with a reason.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from regioncache.errors import ConfigError
from regioncache.sources.reports import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from regioncache.sources.regions import Regions
    from regioncache.sources.reports import Report

# densecap's preprocessing (jcjohnson/densecap, preprocess.py) replaces these before it lowers the case.
_SYMBOLS = str.maketrans(
    {
        "\N{VULGAR FRACTION ONE HALF}": "half",
        "\N{EM DASH}": "-",
        "\N{TRADE MARK SIGN}": "",
        "\N{CENT SIGN}": "cent",
        "\N{LATIN SMALL LETTER C WITH CEDILLA}": "c",
        "\N{LATIN SMALL LETTER U WITH CIRCUMFLEX}": "u",
        "\N{LATIN SMALL LETTER E WITH ACUTE}": "e",
        "\N{DEGREE SIGN}": " degree",
        "\N{LATIN SMALL LETTER E WITH GRAVE}": "e",
        "\N{HORIZONTAL ELLIPSIS}": "",
    }
)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Filter(NamedTuple):
    """One step: a name for counts and rejects, the reason of its rejects, and what it makes of regions.

    ``apply`` gives the regions with their phrases rewritten, and which of them stay, bool (n,).
    """

    name: str
    reason: str
    apply: Callable[[Regions], tuple[Regions, NDArray[np.bool_]]]


def plain_words(phrase: str) -> str:
    """A phrase as densecap's vocabulary sees it: symbols spelt out, lower case, no punctuation, single spaces."""
    return " ".join(phrase.translate(_SYMBOLS).lower().translate(_PUNCTUATION).split())


def _lies_in_image(regions: Regions) -> tuple[Regions, NDArray[np.bool_]]:
    return regions, np.all(regions.box_xyxy[:, 2:] > regions.box_xyxy[:, :2], axis=1)


def _with_plain_words(regions: Regions) -> tuple[Regions, NDArray[np.bool_]]:
    phrases = [[plain_words(one) for one in some] for some in regions.phrases]
    return regions._replace(phrases=phrases), np.ones(len(phrases), np.bool_)


def _words_between(fewest: int, most: int) -> Callable[[Regions], tuple[Regions, NDArray[np.bool_]]]:
    def apply(regions: Regions) -> tuple[Regions, NDArray[np.bool_]]:
        phrases = [[one for one in some if fewest <= len(one.split()) <= most] for some in regions.phrases]
        return regions._replace(phrases=phrases), np.array([bool(some) for some in phrases], np.bool_)

    return apply


def _score_at_least(name: str, least: float) -> Callable[[Regions], tuple[Regions, NDArray[np.bool_]]]:
    def apply(regions: Regions) -> tuple[Regions, NDArray[np.bool_]]:
        scores = regions.scores.get(name, np.full(len(regions.region_id), np.nan))
        return regions, np.isnan(scores) | (scores >= least)

    return apply


_BOX = Filter("box_in_image", "box_degenerate", _lies_in_image)
_PLAIN = Filter("plain_words", "filtered", _with_plain_words)

PRESETS: dict[str, tuple[Filter, ...]] = {
    # As published: boxes are cut to the image, and nothing is left out.
    "raw": (),
    # What can be trained on: a box that has an area inside the image.
    "usable": (_BOX,),
    # densecap's released code: its words, at most 25 of them; boxes without area stay, as there.
    "densecap": (_PLAIN, Filter("at_most_25_words", "filtered", _words_between(0, 25))),
    # segment-caption-anything's rules for SA1B-Cap, as they were meant: its script never applied the second one. A region of
    # which a file says nothing passes that file's rule.
    "sa1b_cap": (
        Filter("area_share_at_least_0.0003", "filtered", _score_at_least("area_share", 3e-4)),
        Filter("clip_score_at_least_0.21", "filtered", _score_at_least("clip_score", 0.21)),
        Filter("confidence_at_least_0.012", "filtered", _score_at_least("confidence", 0.012)),
        _BOX,
    ),
    # GRiT's paper: densecap's words, at most 15; its script is unpublished, so that empty phrases and boxes without area
    # go the way of ControlCap's reimplementation.
    "grit": (_PLAIN, Filter("1_to_15_words", "filtered", _words_between(1, 15)), _BOX),
}


def preset_named(name: str) -> tuple[Filter, ...]:
    """The filters of a preset.

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; choose one of: {', '.join(PRESETS)}")
    return PRESETS[name]


def apply_preset(preset: tuple[Filter, ...], regions: Regions, row: Mapping[str, Any], report: Report) -> Regions:
    """Send the regions of one image through the filters.

    Args:
        preset: the filters, in order.
        regions: of the image.
        row: the image's row of the parsed table, for rejects.
        report: gets ``filter/<name>/before`` and ``/after``, and what was left out.
    """
    outside = _outside(regions, row)
    report.count("boxes_clipped", int(outside.sum()))
    for one in preset:
        report.count(f"filter/{one.name}/before", len(regions.region_id))
        changed, keep = one.apply(regions)
        for k in np.flatnonzero(~keep):
            x, y, width, height = (round(float(side), 2) for side in regions.published_box_xywh[k])
            detail = f"{one.name}: phrases {regions.phrases[k]!r}, box x {x}, y {y}, width {width}, height {height}"
            report.reject(Reject(row["image_id"], row["file_name"], one.reason, detail, int(regions.region_id[k])))
        regions = changed if keep.all() else changed.chosen(keep)
        report.count(f"filter/{one.name}/after", len(regions.region_id))
    return regions


def _outside(regions: Regions, row: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which published boxes reach beyond the image, bool (n,)."""
    x, y, width, height = regions.published_box_xywh.T
    with np.errstate(over="ignore"):  # infinity is outside too
        is_outside: NDArray[np.bool_] = (x < 0) | (y < 0) | (x + width > row["width"]) | (y + height > row["height"])
    return is_outside
