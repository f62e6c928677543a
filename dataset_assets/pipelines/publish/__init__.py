"""`publish`: a split in, a dataset that everyone can load out."""
