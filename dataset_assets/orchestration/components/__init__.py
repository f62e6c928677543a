"""Component types: what `type:` of a `defs.yaml` can be. `dg list components` finds what is exported here."""

from dataset_assets.orchestration.components.dataset import Dataset

__all__ = ["Dataset"]
