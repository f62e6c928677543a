"""Tab-separated values with a header line: `csv` with another delimiter.

Quotes mean what they mean in csv, as in img2dataset, though many lists with tabs have no syntax for
quotes: for those, set `quoting` to "none".
"""

from dataset_assets.urls.formats import csv


class Reader(csv.Reader):
    """Reads rows of text."""

    delimiter = "\t"
