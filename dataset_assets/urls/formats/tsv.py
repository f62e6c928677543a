"""Tab-separated values with a header line: `csv` with another delimiter."""

from dataset_assets.urls.formats import csv


class Reader(csv.Reader):
    """Reads rows of text."""

    delimiter = "\t"
