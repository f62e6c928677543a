"""Batches for torch: the loader, its workers, transforms and augmentation."""
