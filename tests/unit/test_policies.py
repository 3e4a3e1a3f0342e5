"""Which regions become targets: how many, which, in which order, with which phrases, and what is ignored."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pycocotools import mask as pycoco

from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.data.regions import RegionChoice, RegionFacts
from regioncache.data.selected_regions import SelectedRegions, region_policy
from regioncache.encode.tokens import load_tokenizer
from regioncache.errors import ConfigError
from small_cache import sample_row, write_prompts, write_samples, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from regioncache.data.regions import RegionPolicy


def facts_of(
    area: list[float],
    *,
    phrase_count: list[int] | None = None,
    category: list[int] | None = None,
    crowd: list[int] | None = None,
    boxes: list[list[float]] | None = None,
) -> RegionFacts:
    n = len(area)
    flags = np.zeros(n, np.bool_)
    flags[crowd or []] = True
    return RegionFacts(
        np.array(boxes or [[0, 0, 10, 10]] * n, np.float64).reshape(n, 4),
        np.array(phrase_count or [1] * n, np.int32),
        np.array(area, np.float64),
        np.array(category or [0] * n, np.int32),
        flags,
    )


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def choose(policy: RegionPolicy, facts: RegionFacts, seed: int = 0) -> RegionChoice:
    return policy.choose(generator(seed), facts)


def test_by_default_all_regions_but_crowds_stand_in_stored_order_with_their_first_phrase() -> None:
    choice = choose(SelectedRegions(), facts_of([3, 1, 2, 5], phrase_count=[1, 4, 2, 1], crowd=[1]))
    assert choice.regions.tolist() == [0, 2, 3]
    assert choice.phrases.tolist() == [0, 0, 0]
    assert choice.ignored.tolist() == [1]


@pytest.mark.parametrize("policy", [SelectedRegions(crowd="keep"), ShuffledRegions(crowd="keep")])
def test_crowds_are_kept_as_targets_on_request(policy: RegionPolicy) -> None:
    choice = choose(policy, facts_of([3, 1, 2], crowd=[1]))
    assert sorted(choice.regions.tolist()) == [0, 1, 2]
    assert choice.ignored.tolist() == []


def test_the_shuffled_rule_takes_crowds_out_before_it_cuts() -> None:
    facts = facts_of([1] * 6, crowd=[0, 1, 2])
    for seed in range(20):
        choice = choose(ShuffledRegions(max_regions=3), facts, seed)
        assert sorted(choice.regions.tolist()) == [3, 4, 5]
        assert choice.ignored.tolist() == [0, 1, 2]


def test_a_random_pick_takes_every_region_equally_often() -> None:
    policy, facts = SelectedRegions(at_most=2), facts_of([1, 100, 3, 4, 5])
    pairs: Counter[tuple[int, ...]] = Counter()
    draws = generator()
    for _ in range(5000):
        pairs[tuple(policy.choose(draws, facts).regions.tolist())] += 1
    # All ten pairs of five regions, in stored order, each 500 times: 4 standard deviations are 85.
    assert set(pairs) == {(a, b) for a in range(5) for b in range(a + 1, 5)}
    assert max(abs(count - 500) for count in pairs.values()) < 85


def test_largest_and_smallest_go_by_area_and_of_equal_ones_the_first_stored() -> None:
    facts = facts_of([7, 9, 7, 1, 9])
    expected = {"largest": [1, 4, 0], "smallest": [3, 0, 2]}
    for pick, regions in expected.items():
        for seed in range(5):
            picked = choose(SelectedRegions(at_most=3, pick=pick, order="picked"), facts, seed)  # type: ignore[arg-type]
            stored = choose(SelectedRegions(at_most=3, pick=pick), facts, seed)  # type: ignore[arg-type]
            assert picked.regions.tolist() == regions
            assert stored.regions.tolist() == sorted(regions)


def test_picking_by_category_takes_as_many_of_each_where_it_has_them() -> None:
    category = [0] * 20 + [5] * 3 + [9]
    facts = facts_of([1] * 24, category=category)
    extra: Counter[int] = Counter()
    members: Counter[int] = Counter()
    draws = generator()
    for _ in range(600):
        choice = SelectedRegions(at_most=4, pick="category").choose(draws, facts)
        counts = Counter(category[k] for k in choice.regions)
        assert counts == {0: 1, 5: 1, 9: 1} | {key: 2 for key, count in counts.items() if count == 2}
        assert sum(counts.values()) == 4
        extra.update(key for key, count in counts.items() if count == 2)
        members.update(k for k in choice.regions.tolist() if k < 20)
        six = SelectedRegions(at_most=6, pick="category").choose(draws, facts)
        assert sorted(Counter(category[k] for k in six.regions).values()) == [1, 2, 3]
    # The fourth place goes to 0 or 5 (9 has no second), as often to either, however many regions either has.
    assert set(extra) == {0, 5}
    assert abs(extra[0] - 300) < 4 * 12.3
    # Within the category, all twenty come up.
    assert set(members) == set(range(20))


def test_in_the_order_picked_one_of_each_category_comes_before_the_second_of_any() -> None:
    category = [3, 3, 3, 1, 1, 2]
    firsts = set()
    for seed in range(40):
        choice = choose(SelectedRegions(pick="category", order="picked"), facts_of([1] * 6, category=category), seed)
        turns = [category[k] for k in choice.regions]
        assert set(turns[:3]) == {1, 2, 3}
        assert set(turns[3:5]) == {1, 3}
        assert turns[5] == 3
        firsts.add(turns[0])
    assert firsts == {1, 2, 3}


def test_small_regions_are_dropped_by_side_and_by_area() -> None:
    boxes = [[0.0, 0, 8, 8], [0, 0, 7.9, 50], [0, 0, 50, 7.9], [0, 0, 50, 50], [3, 3, 3, 9]]
    facts = facts_of([64, 300, 300, 20, 0], boxes=boxes)
    assert choose(SelectedRegions(min_side_px=8), facts).regions.tolist() == [0, 3]
    assert choose(SelectedRegions(min_area_px=64), facts).regions.tolist() == [0, 1, 2]
    assert choose(SelectedRegions(min_side_px=8, min_area_px=64), facts).regions.tolist() == [0]
    assert choose(SelectedRegions(), facts).regions.tolist() == [0, 1, 2, 3]
    assert choose(SelectedRegions(min_side_px=0), facts).regions.tolist() == [0, 1, 2, 3, 4]
    assert choose(SelectedRegions(min_side_px=99), facts).ignored.tolist() == []


def test_the_random_order_is_drawn_and_is_of_the_same_regions() -> None:
    facts = facts_of([5, 4, 3, 2, 1])
    orders = {
        tuple(choose(SelectedRegions(at_most=3, pick="largest", order="random"), facts, k).regions.tolist()) for k in range(60)
    }
    assert orders == {(a, b, c) for a in range(3) for b in range(3) for c in range(3) if len({a, b, c}) == 3}


def test_a_random_phrase_is_one_of_its_regions_and_each_comes_up() -> None:
    facts = facts_of([1, 1, 1], phrase_count=[1, 2, 3])
    seen = [
        set(one)
        for one in zip(*(choose(SelectedRegions(phrases="random"), facts, k).phrases.tolist() for k in range(60)), strict=True)
    ]
    assert seen == [{0}, {0, 1}, {0, 1, 2}]


def test_with_all_phrases_a_region_stands_once_for_each_and_counts_once() -> None:
    facts = facts_of([1, 9, 5], phrase_count=[2, 3, 1])
    choice = choose(SelectedRegions(at_most=2, pick="largest", order="picked", phrases="all"), facts)
    assert choice.regions.tolist() == [1, 1, 1, 2]
    assert choice.phrases.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("pick", ["random", "largest", "smallest", "category"])
@pytest.mark.parametrize("order", ["stored", "random", "picked"])
@pytest.mark.parametrize("phrases", ["first", "random", "all"])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_every_combination_chooses_among_the_usable_regions_whatever_their_number(
    pick: Any, order: Any, phrases: Any, count: int
) -> None:
    rng = np.random.default_rng(count)
    phrase_count = rng.integers(1, 4, count)
    facts = facts_of(
        rng.random(count).tolist(),
        phrase_count=phrase_count.tolist(),
        category=rng.integers(-1, 5, count).tolist(),
        crowd=[k for k in range(count) if k % 7 == 6],
    )
    policy = SelectedRegions(at_most=9, pick=pick, order=order, phrases=phrases)
    choice, again = (choose(policy, facts, 3) for _ in range(2))
    assert all(np.array_equal(one, two) for one, two in zip(choice, again, strict=True))
    usable = [k for k in range(count) if k % 7 != 6]
    assert set(choice.regions.tolist()) <= set(usable)
    assert len(set(choice.regions.tolist())) == min(9, len(usable))
    assert (choice.phrases < phrase_count[choice.regions]).all()
    assert choice.ignored.tolist() == [k for k in range(count) if k % 7 == 6]
    assert len(choice.regions) == (phrase_count[np.unique(choice.regions)].sum() if phrases == "all" else min(9, len(usable)))


def test_a_policy_comes_from_plain_values() -> None:
    config = {"type": "SelectedRegions", "at_most": 16, "pick": "largest", "phrases": "all", "min_side_px": 4}
    assert region_policy(config) == SelectedRegions(16, "largest", phrases="all", min_side_px=4)
    assert region_policy({"type": "ShuffledRegions"}) == ShuffledRegions()
    assert pickle.loads(pickle.dumps(region_policy(config))) == region_policy(config)  # noqa: S301  (our own bytes)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, r"type=None is none of ShuffledRegions, SelectedRegions"),
        ({"type": "Selected"}, r"type='Selected' is none of"),
        ({"type": ["SelectedRegions"]}, r"type=\['SelectedRegions'\] is none of"),
        (
            {"type": "SelectedRegions", "atmost": 3, "max": 1},
            r"SelectedRegions has no argument atmost, max; it has at_most, pick",
        ),
        ({"type": "SelectedRegions", "at_most": 0}, r"SelectedRegions: at_most=0 is no whole number from 1 on"),
        ({"type": "SelectedRegions", "at_most": True}, r"at_most=True is no whole number"),
        ({"type": "SelectedRegions", "pick": "biggest"}, r"pick='biggest' is none of random, largest, smallest, category"),
        ({"type": "SelectedRegions", "order": 3}, r"order=3 is none of"),
        ({"type": "SelectedRegions", "phrases": "any"}, r"phrases='any' is none of first, random, all"),
        ({"type": "SelectedRegions", "min_area_px": -1}, r"min_area_px=-1 is no number from 0 on"),
        ({"type": "SelectedRegions", "min_side_px": float("nan")}, r"min_side_px=nan is no number from 0 on"),
        ({"type": "SelectedRegions", "crowd": "drop"}, r"crowd='drop' is none of ignore, keep"),
        ({"type": "ShuffledRegions", "max_regions": "64"}, r"ShuffledRegions: max_regions='64' is no whole number"),
    ],
)
def test_an_error_names_the_policy_and_the_argument(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        region_policy(config)


MASKS = np.zeros((4, 20, 30), np.uint8)
MASKS[0, 2:8, 3:9] = MASKS[1, 0:20, 0:30] = MASKS[2, 10:12, 10:20] = MASKS[3, 15:20, 1:4] = 1
PHRASES = [["cat", "a black cat"], ["crowd of cats"], ["dog", "a dog", "the dog on the left"], ["bird"]]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images: four regions with one crowd among them, and one region without a crowd."""
    counts = [pycoco.encode(np.asfortranarray(mask))["counts"].decode() for mask in MASKS]
    boxes = [[3, 2, 9, 8], [0, 0, 30, 20], [10, 10, 20, 12], [1, 15, 4, 20]]
    rows = [
        sample_row(
            1,
            height=20,
            width=30,
            box_xyxy=boxes,
            phrases=PHRASES,
            segmentation=counts,
            area=np.array([36.0, 600, 20, 15]),
            is_crowd=np.array([False, True, False, False]),
            region_id=np.array([11, 12, 13, 14]),
        ),
        sample_row(2, height=20, width=30, box_xyxy=boxes[:1], segmentation=counts[:1], area=np.array([36.0])),
    ]
    path = write_samples(tmp_path_factory.mktemp("crowded") / "cache" / "samples" / "part.parquet", rows)
    write_tokens(path, rows, "byt5-sca-20", load_tokenizer("byt5"), max_length=20)
    write_prompts(path, rows, "sam", [[[4, 3], [1, 1], [12, 11], [2, 16]], [[4, 3]]])
    return path


@pytest.mark.parametrize("policy", [SelectedRegions(), ShuffledRegions()])
def test_a_crowd_is_no_target_and_its_box_and_mask_stay_in_the_sample(crowded: Path, policy: RegionPolicy) -> None:
    dense = ParquetRegionDataset(crowded, image=None, masks="dense", regions=policy)[0]
    assert sorted(dense["metadata_region_id"].tolist()) == [11, 13, 14]
    assert not dense["is_crowd"].any()
    # The longest side of 30 pixels becomes 1024, the other one round(20 * 1024 / 30) = 683.
    np.testing.assert_allclose(dense["ignore_boxes"], [[0, 0, 1024, 683]])
    np.testing.assert_array_equal(dense["ignore_masks"], MASKS[1:2].astype(bool))
    assert dense["masks"].shape == (3, 20, 30)
    rle = ParquetRegionDataset(crowded, image=None, masks="rle", regions=policy)[0]
    np.testing.assert_array_equal(pycoco.decode(list(rle["ignore_segmentation"]))[..., 0], MASKS[1])
    low = ParquetRegionDataset(crowded, image=None, masks="lowres", regions=policy)[0]
    assert low["ignore_masks"].shape == (1, 256, 256)
    assert low["ignore_masks"].sum() == 256 * 171  # the whole image in the 256 frame: round(20 * 256 / 30) = 171 rows
    other = ParquetRegionDataset(crowded, image=None, masks="dense", regions=policy)[1]
    assert other["ignore_boxes"].shape == (0, 4)
    assert other["ignore_masks"].shape == (0, 20, 30)


def test_without_a_policy_every_region_is_there_and_nothing_is_ignored(crowded: Path) -> None:
    sample = ParquetRegionDataset(crowded, image=None, masks="rle")[0]
    assert sample["metadata_region_id"].tolist() == [11, 12, 13, 14]
    assert sample["is_crowd"].tolist() == [False, True, False, False]
    assert not [key for key in sample if key.startswith("ignore")]


def test_all_phrases_repeat_everything_else_of_their_region(crowded: Path) -> None:
    policy = SelectedRegions(phrases="all")
    dataset = ParquetRegionDataset(crowded, image=None, masks="dense", tokens="byt5-sca-20", prompts="sam", regions=policy)
    sample = dataset[0]
    of = [0, 0, 2, 2, 2, 3]
    assert list(sample["metadata_captions"]) == [*PHRASES[0], *PHRASES[2], *PHRASES[3]]
    assert sample["metadata_region_id"].tolist() == [11 + k for k in of]
    np.testing.assert_array_equal(sample["masks"], MASKS[of].astype(bool))
    assert sample["input_points"].shape == (6, 1, 2)
    # ByT5: a byte is its value + 3, the end is 1; the original cuts to 20 - 2 tokens with their end, and appends another end.
    texts = [[*(byte + 3 for byte in phrase.encode()[:17]), 1, 1] for phrase in sample["metadata_captions"]]
    assert sample["input_ids_length"].tolist() == [len(one) for one in texts]
    assert sample["input_ids"].tolist() == [token for one in texts for token in one]


@pytest.mark.parametrize("tensors", ["numpy", "torch"])
def test_ignored_regions_are_collated_beside_the_targets(crowded: Path, tensors: Any) -> None:
    dataset = ParquetRegionDataset(crowded, image=None, masks="dense", regions=SelectedRegions())
    samples = [dataset[1], dataset[0]]
    padded = RegionCollator(tensors=tensors)(samples)
    assert np.asarray(padded["ignore_region_mask"]).tolist() == [[False], [True]]
    np.testing.assert_allclose(padded["ignore_boxes"], [[[0, 0, 0, 0]], [[0, 0, 1024, 683]]])
    np.testing.assert_array_equal(padded["ignore_masks"], np.stack((np.zeros_like(MASKS[1:2]), MASKS[1:2])).astype(bool))
    flat = RegionCollator("flat", tensors=tensors)(samples)
    np.testing.assert_allclose(flat["ignore_boxes"], [[0, 0, 1024, 683]])
    assert np.asarray(flat["ignore_image_index"]).tolist() == [1]
    np.testing.assert_array_equal(flat["ignore_masks"], MASKS[1:2].astype(bool))
    rle = ParquetRegionDataset(crowded, image=None, masks="rle", regions=SelectedRegions())
    batch = RegionCollator(tensors=tensors)([rle[1], rle[0]])
    assert [len(one) for one in batch["ignore_segmentation"]] == [0, 1]


def test_samples_with_and_without_a_policy_share_a_batch(crowded: Path) -> None:
    with_policy = ParquetRegionDataset(crowded, image=None, masks="dense", regions=SelectedRegions())[0]
    without = ParquetRegionDataset(crowded, image=None, masks="dense")[1]
    batch = RegionCollator(tensors="numpy")([without, with_policy])
    assert batch["ignore_region_mask"].tolist() == [[False], [True]]
    assert batch["ignore_masks"].shape == (2, 1, 20, 30)


def test_the_originals_batch_has_the_originals_keys_only(crowded: Path) -> None:
    sample = ParquetRegionDataset(crowded, image=None, regions=SelectedRegions())[0]
    assert not [key for key in RegionCollator("min")([sample]) if key.startswith("ignore")]
