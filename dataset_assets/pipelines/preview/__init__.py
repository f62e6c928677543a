"""Small images of large datasets, for people."""
