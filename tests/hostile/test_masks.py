"""Masks made to harm: sums that overflow, edges without end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from regioncache.errors import BadRecordError
from regioncache.masks import to_rle


@pytest.mark.parametrize(
    "counts",
    [
        [2**63 - 1, 2**63 - 1, 602],
        [2**62, 2**62, 2**62, 2**62, 600],
        [5, 2**63 - 1, 2**63 - 1, 597],
        b"oooooooooooo7oooooooooooo7jb0",
        [[600]],
        [[]],
        [599.5, 0.5],
        [10**30],
        [None],
        ["600"],
        [True] * 600 + [[]],
    ],
)
def test_runs_that_only_seem_to_add_up_are_no_mask(counts: Any) -> None:
    with pytest.raises(BadRecordError) as caught:
        to_rle({"size": [20, 30], "counts": counts}, 20, 30)
    assert caught.value.reason == "segmentation_invalid"


def test_a_polygon_that_zigzags_over_its_image_is_refused_before_it_is_drawn() -> None:
    # pycocotools takes 40 bytes for each pixel of an edge and asks nobody: this one ended the process.
    zigzag = np.stack([np.where(np.arange(20_000) % 2, 9999.0, -9999.0), np.arange(20_000) % 900], axis=1)
    with pytest.raises(BadRecordError, match="pixels of boundary, found 399"):
        to_rle([zigzag.ravel().tolist()], 1000, 1000)


def test_many_small_zigzags_are_refused_as_one_large_is() -> None:
    part = np.stack([np.where(np.arange(200) % 2, 9999.0, -9999.0), np.arange(200)], axis=1).ravel().tolist()
    with pytest.raises(BadRecordError, match="pixels of boundary"):
        to_rle([part] * 50, 1000, 1000)


def test_a_polygon_around_a_large_image_is_taken() -> None:
    corners = [0, 0, 13_000, 0, 13_000, 13_000, 0, 13_000]
    assert to_rle([corners], 13_000, 13_000)


@pytest.mark.parametrize(
    "polygon", [[10**400] * 6, [float("inf")] * 6, [float("nan")] * 6, [1e300] * 6, [[1, 2]] * 3, ["1"] * 5, [{}] * 6]
)
def test_corners_that_are_no_numbers_of_an_image_are_refused(polygon: Any) -> None:
    with pytest.raises(BadRecordError) as caught:
        to_rle([polygon], 20, 30)
    assert caught.value.reason == "segmentation_invalid"
