"""Class dictionaries and label maps: which label id of a dataset is trained as which class."""
