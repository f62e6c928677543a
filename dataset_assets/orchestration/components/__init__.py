"""Component types for the `type:` of a `defs.yaml`; `dg list components` finds them here."""

from dataset_assets.orchestration.components.dataset import Dataset

__all__ = ["Dataset"]
