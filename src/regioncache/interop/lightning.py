"""A Lightning DataModule over loaders of this package. Needs lightning to be made, not to be imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regioncache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from regioncache.data.device import PixelFormat

STAGES = ("train", "val", "test", "predict")


class StageLoaders:
    """What a DataModule must have, without Lightning: a loader for each stage, and their state.

    Args:
        loaders: a ``RegionLoader`` or another iterable of batches, by stage: ``train``, ``val``, ``test``, ``predict``.
        pixels: how batches are resized, padded and normalised on the device; None for SAM's float32 (B, 3, 1024, 1024).

    Raises:
        ConfigError: there is no such stage, or none at all.
    """

    def __init__(self, loaders: Mapping[str, Any], pixels: PixelFormat | None = None) -> None:
        unknown = sorted(set(loaders) - set(STAGES))
        if unknown or not loaders:
            raise ConfigError(f"expected loaders of some of {', '.join(STAGES)}, found {', '.join(unknown) or 'none'}")
        self.loaders, self.pixels = dict(loaders), pixels

    def loader(self, stage: str) -> Any:  # noqa: ANN401  (any iterable of batches)
        """The loader of a stage; no batches where none was given, as Lightning asks."""
        return self.loaders.get(stage, ())

    def to_device(self, batch: Any, device: Any) -> Any:  # noqa: ANN401  (a batch of any loader, a torch.device)
        """A batch on the device, with its pixels ready for the model; copied without waiting where it was pinned."""
        from regioncache.data.device import to_device  # noqa: PLC0415  (torch is an extra)

        return to_device(batch, device, self.pixels, non_blocking=True)

    def state_dict(self) -> dict[str, Any]:
        """The state of the training loader, where it has one."""
        train = self.loader("train")
        return {"train": train.state_dict()} if hasattr(train, "state_dict") else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let training go on behind the state."""
        if "train" in state:
            self.loaders["train"].load_state_dict(state["train"])


def lightning_data_module(loaders: Mapping[str, Any], pixels: PixelFormat | None = None) -> Any:  # noqa: ANN401  (a LightningDataModule)
    """A ``LightningDataModule`` over loaders; its state goes into Lightning's checkpoints.

    Loaders know their rank, so Lightning must not put samplers of its own into them:
    ``Trainer(use_distributed_sampler=False)``.

    Args:
        loaders: see ``StageLoaders``.
        pixels: see ``StageLoaders``.

    Raises:
        ConfigError: there is no such stage, or lightning is not installed.
    """
    stages = StageLoaders(loaders, pixels)
    try:
        from lightning import LightningDataModule  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise ConfigError("lightning is not installed; pip install lightning") from error

    def of(stage: str) -> Callable[[Any], Any]:
        return lambda _module: stages.loader(stage)

    methods: dict[str, Any] = {f"{stage}_dataloader": of(stage) for stage in STAGES if stage in stages.loaders}
    methods["transfer_batch_to_device"] = lambda _module, batch, device, dataloader_idx: stages.to_device(batch, device)  # noqa: ARG005  (Lightning's names)
    methods["state_dict"] = lambda _module: stages.state_dict()
    methods["load_state_dict"] = lambda _module, state_dict: stages.load_state_dict(state_dict)
    return type("RegionDataModule", (LightningDataModule,), methods)()
