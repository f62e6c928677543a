"""Batches for torch: the loader, the transforms of samples, and the memory of batches."""
