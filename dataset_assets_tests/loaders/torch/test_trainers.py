"""accelerate, which builds a loader from the parts of ours, and Lightning accept our loaders."""

import pytest
import torch

from dataset_assets.compat.torchdatasetutil.coco import CreateCocoLoaders
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.staged_datasets import stage_coco

EPOCHS = 2


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trainers")
    stage_coco(folder / "archives", Store(str(folder / "root")), images=24)
    return str(folder / "root")


def train_loader(root, workers):
    return CreateCocoLoaders(
        root, None, "coco", batch_size=4, height=40, width=40, num_workers=workers
    )[0]["dataloader"]


def equal(found, expected):
    return len(found) == len(expected) > 1 and all(
        torch.equal(a, b) for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_accelerate_gets_the_same_batches_when_it_prepares_a_loader(root, workers):
    expected = [part.clone() for batch in train_loader(root, workers) for part in batch]
    from accelerate import Accelerator

    prepared = Accelerator(cpu=True).prepare(train_loader(root, workers))
    assert equal([part.clone() for batch in prepared for part in batch], expected)


def recorder():
    """Make a module that trains one layer, and keeps its batches."""
    from lightning import LightningModule  # here: every worker collects, one of them needs it

    class Recorder(LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 1, 1)
            self.seen = []

        def training_step(self, batch, _):
            self.seen += [part.clone() for part in batch]
            return self.layer(batch[0]).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Recorder()


@pytest.mark.filterwarnings("ignore")
def test_lightning_gets_the_same_batches_when_it_trains_for_two_epochs(root, tmp_path):
    from lightning import Trainer

    loader = train_loader(root, 0)
    expected = [part.clone() for _ in range(EPOCHS) for batch in loader for part in batch]
    options = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=1,
        use_distributed_sampler=False,
        default_root_dir=tmp_path,
        **options,
    )
    module = recorder()
    trainer.fit(module, train_loader(root, 0))
    assert equal(module.seen, expected)
