"""A real Lightning Trainer over the DataModule: it fits, and a checkpoint goes on with the very next batch."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch

from regioncache import OrderBatchSampler, ParquetRegionDataset, RandomOrder, RegionCollator, RegionLoader
from regioncache.data.device import PixelFormat
from regioncache.interop.lightning import lightning_data_module

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Lightning and its metrics warn about their own dependencies while they are imported
    import lightning

if TYPE_CHECKING:
    from pathlib import Path


class Speaker(lightning.LightningModule):
    """The smallest model that learns from tokens, and remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.speak = torch.nn.Embedding(400, 8), torch.nn.Linear(8, 400)
        self.seen: list[Any] = []
        self.losses: list[float] = []

    def training_step(self, batch: dict[str, Any], _index: int) -> torch.Tensor:
        assert batch["pixel_values"].shape[1:] == (3, 1024, 1024)
        assert batch["pixel_values"].dtype == torch.float32
        self.seen.append(batch["metadata_region_id"].tolist())
        logits = self.speak(self.embed(batch["input_ids"])).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, batch["labels"][:, 1:].flatten(), ignore_index=-100)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(made: Path, steps: int, checkpoint: Path | None = None) -> tuple[Speaker, lightning.Trainer]:
    dataset = ParquetRegionDataset(made, tokens="byt5-sca-20", image="bytes")
    batches = OrderBatchSampler(RandomOrder(len(dataset), seed=4), batch_size=5)  # three batches an epoch
    data = lightning_data_module({"train": RegionLoader(dataset, batches, RegionCollator("flat"))}, PixelFormat())
    model = Speaker()
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=False)
    return model, trainer


@pytest.mark.filterwarnings("ignore")  # Lightning warns about workers, logging and its own future
@pytest.mark.parametrize("stopped_after", [1, 3, 4])
def test_a_trainer_stopped_and_resumed_sees_the_same_batches_and_has_the_same_losses(
    made: Path, tmp_path: Path, stopped_after: int
) -> None:
    whole, _ = fit(made, 7)
    first, trainer = fit(made, stopped_after)
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    second, _ = fit(made, 7, tmp_path / "stopped.ckpt")
    assert len(whole.seen) == 7
    assert first.seen + second.seen == whole.seen
    assert first.losses + second.losses == whole.losses
    assert len({str(batch) for batch in whole.seen}) == 7  # every epoch in another order
