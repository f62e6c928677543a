"""Small images of large datasets, for people: staged samples, and batches as training sees them."""
