"""`publish`: a split becomes a dataset that `datasets.load_dataset` reads."""
