"""`split`: a source in, train, validation and test out."""
