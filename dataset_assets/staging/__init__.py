"""Datasets as their owners publish or record them, as sources of samples. A file is a kind of source."""
