"""The name `img2dataset` for this package: for tests that were written for img2dataset."""

from dataset_assets.compat.img2dataset import download as download
