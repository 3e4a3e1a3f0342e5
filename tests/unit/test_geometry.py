from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.sam.processing_sam import SamProcessor

from regioncache.errors import ConfigError
from regioncache.geometry import FRAMES, clip_xyxy, frame_named

if TYPE_CHECKING:
    from pathlib import Path

SAM = FRAMES["sam"]
RANDOM_SIZES_HW = np.random.default_rng(0).integers(1, 6000, size=(1000, 2)).tolist()


def test_sam_sizes_are_those_of_the_recorded_original(shared: Path) -> None:
    recorded = json.loads((shared / "goldens/sca/expected/preprocess_shape.json").read_text())
    assert recorded["longest_edge"] == SAM.size_px
    for case in recorded["cases"]:
        assert list(SAM.resized_hw(*case["hw"])) == case["new_hw"]
        assert SAM.vanishes(*case["hw"]) == (0 in case["new_hw"])


def test_sizes_of_a_thousand_images_are_those_of_the_peer_library() -> None:
    peer = SamImageProcessorPil()
    for height, width in RANDOM_SIZES_HW:
        assert SAM.resized_hw(height, width) == peer._get_preprocess_shape((height, width), 1024)  # noqa: SLF001  (the rule itself has no public name)
        assert SAM.low_res_hw(height, width) == peer._get_preprocess_shape((height, width), 256)  # noqa: SLF001


def test_boxes_of_a_thousand_images_land_on_the_same_float_as_in_the_peer_library() -> None:
    peer = SamProcessor(SamImageProcessorPil())
    rng = np.random.default_rng(1)
    for height, width in RANDOM_SIZES_HW:
        boxes_xyxy = (rng.random((3, 4)) * [width, height, width, height]).astype(np.float32)
        theirs = peer._normalize_coordinates(1024, boxes_xyxy, (height, width), is_bounding_box=True)  # noqa: SLF001
        ours = boxes_xyxy.astype(np.float64) * SAM.scale_xyxy(height, width)
        assert np.array_equal(ours, theirs)
        points_xy = boxes_xyxy[:, :2].astype(np.float64)
        theirs = peer._normalize_coordinates(1024, points_xy, (height, width))  # noqa: SLF001
        assert np.array_equal(points_xy * SAM.scale_xy(height, width), theirs)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_the_longest_side_fills_the_frame_and_the_aspect_ratio_stays(height: int, width: int) -> None:
    resized = SAM.resized_hw(height, width)
    assert max(resized) == SAM.size_px
    assert abs(resized[0] * width - resized[1] * height) <= max(height, width) * 0.5 + 1e-6


def test_the_square_frame_stretches_both_sides() -> None:
    square = frame_named("square")
    assert square.resized_hw(10, 4000) == (1024, 1024)
    assert square.low_res_hw(10, 4000) == (256, 256)
    assert square.scale_xyxy(512, 2048).tolist() == [0.5, 2.0, 0.5, 2.0]
    assert not square.vanishes(1, 100_000)


def test_an_unknown_frame_and_an_image_without_pixels_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'vit'.*sam, square"):
        frame_named("vit")
    with pytest.raises(ConfigError, match="height 0 and width 5"):
        SAM.resized_hw(0, 5)


def test_boxes_are_cut_to_the_image_and_outside_ones_collapse_onto_its_border() -> None:
    boxes_xyxy = np.array([[-3, -4, 5, 6], [90, 10, 130, 70], [200, 200, 210, 210]], np.float32)
    expected = [[0, 0, 5, 6], [90, 10, 100, 50], [100, 50, 100, 50]]
    assert clip_xyxy(boxes_xyxy, height=50, width=100).tolist() == expected
