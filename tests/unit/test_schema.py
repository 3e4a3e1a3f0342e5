"""What the schema says of a phrase, and of itself to other tools."""

from __future__ import annotations

import json

import datasets
import pytest

from regioncache.schema import PROMPTS, SAMPLES, TOKENS, has_side_word, huggingface_metadata


@pytest.mark.parametrize(
    "phrase",
    ["the cup on the left", "Right hand", "left-hand drawer", "leftmost sheep", "a car, right", "RIGHT", "turned leftwards"],
)
def test_a_flip_could_make_these_false(phrase: str) -> None:
    assert has_side_word(phrase)


@pytest.mark.parametrize(
    "phrase", ["", "a bright light", "upright piano", "leftovers on a plate", "copyright sign", "cleft chin"]
)
def test_a_flip_leaves_these_true(phrase: str) -> None:
    assert not has_side_word(phrase)


@pytest.mark.parametrize("schema", [SAMPLES, TOKENS, PROMPTS], ids=["samples", "tokens", "prompts"])
def test_the_hand_written_features_are_those_that_datasets_derives(schema: object) -> None:
    written = json.loads(huggingface_metadata(schema, image_decodes=False))["info"]["features"]
    assert datasets.Features.from_dict(written) == datasets.Features.from_arrow_schema(schema)
