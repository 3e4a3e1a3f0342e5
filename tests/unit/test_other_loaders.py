"""The samplers under loaders of others: torchdata's StatefulDataLoader, accelerate's shards, the Hugging Face Trainer."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import DataLoader

from regioncache import ParquetRegionDataset, RegionCollator, ShuffledRegions
from regioncache.data.orders import RandomOrder
from regioncache.data.samplers import OrderBatchSampler, OrderSampler

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than cores, on purpose
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata 0.11 under torch 2.13
]


def ids_of(batches: Iterable[dict[str, Any]]) -> list[Any]:
    return [batch["metadata_region_id"].tolist() for batch in batches]


def expected_of(made: Path, epoch: int) -> list[Any]:
    dataset, order = ParquetRegionDataset(made, image=None, regions=ShuffledRegions(5)), RandomOrder(12).indices(epoch).tolist()
    return ids_of(RegionCollator()([dataset[epoch, index] for index in order[at : at + 2]]) for at in range(0, 12, 2))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["sampler", "batch_sampler"])
def test_a_stateful_data_loader_resumes_what_it_gave(made: Path, kind: str, workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is an extra of the user's own choice")
    whole = [expected_of(made, epoch) for epoch in range(3)]

    def loader() -> Any:
        order = RandomOrder(12)
        options: dict[str, Any] = {"num_workers": workers, "collate_fn": RegionCollator()}
        if workers:
            options["multiprocessing_context"] = "fork"
        if kind == "sampler":
            options.update(sampler=OrderSampler(order), batch_size=2)
        else:
            options.update(batch_sampler=OrderBatchSampler(order, 2))
        dataset = ParquetRegionDataset(made, image=None, regions=ShuffledRegions(5))
        return stateful.StatefulDataLoader(dataset, **options)

    for given in (1, 3, 6):
        first = loader()
        assert ids_of(first) == whole[0]
        assert ids_of(islice(iter(first), given)) == whole[1][:given]
        second = loader()
        second.load_state_dict(first.state_dict())
        rest = ids_of(second) + ids_of(second)  # a state at the end of an epoch has an empty rest
        assert rest == whole[1][given:] + whole[2]


@pytest.mark.parametrize("kind", ["sampler", "batch_sampler"])
def test_accelerate_deals_out_the_batches_that_ranks_would_have(made: Path, kind: str) -> None:
    data_loader = pytest.importorskip("accelerate.data_loader", reason="accelerate is an extra of the user's own choice")
    dataset = ParquetRegionDataset(made, image=None, regions=ShuffledRegions(5))

    def loader(rank: int) -> Any:
        order = RandomOrder(12)
        options: dict[str, Any] = {"sampler": OrderSampler(order), "batch_size": 2}
        if kind == "batch_sampler":
            options = {"batch_sampler": OrderBatchSampler(order, 2, rank=None, ranks=2)}
        plain = DataLoader(dataset, collate_fn=RegionCollator(), **options)
        return data_loader.prepare_data_loader(plain, num_processes=2, process_index=rank, put_on_device=False)

    shards = [loader(rank) for rank in range(2)]
    for epoch in range(2):
        for rank, shard in enumerate(shards):
            shard.set_epoch(epoch)
            assert len(shard) == 3
            assert ids_of(shard) == expected_of(made, epoch)[rank::2]


def test_the_hugging_face_trainer_gets_the_orders_batches_and_another_order_in_the_next_epoch(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="accelerate is an extra of the user's own choice")
    from transformers import Trainer, TrainingArguments  # noqa: PLC0415  (it asks for accelerate)

    dataset = ParquetRegionDataset(made, tokens="byt5-sca-20", image=None)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(1))
            self.seen: list[list[int]] = []

        def forward(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
            self.seen.append(batch["metadata_region_id"].tolist())
            return {"loss": self.bias.sum() ** 2}

    class RegionTrainer(Trainer):
        def get_train_dataloader(self) -> DataLoader[Any]:
            batches = OrderBatchSampler(RandomOrder(len(dataset), seed=3), batch_size=4, rank=None)
            return self.accelerator.prepare(DataLoader(dataset, batch_sampler=batches, collate_fn=RegionCollator("flat")))

    model = Model()
    steps = len(dataset) // 4
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=2 * steps,
        report_to=[],
        use_cpu=True,
        remove_unused_columns=False,
        save_strategy="no",
        disable_tqdm=True,
    )
    RegionTrainer(model=model, args=arguments).train()
    expected = [
        [
            int(region)
            for index in RandomOrder(len(dataset), seed=3).indices(epoch)[4 * step : 4 * step + 4]
            for region in dataset[int(index)]["metadata_region_id"]
        ]
        for epoch in (0, 1)
        for step in range(steps)
    ]
    assert model.seen == expected
