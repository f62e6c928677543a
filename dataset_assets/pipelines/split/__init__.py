"""`split`: assigns the samples of a source to splits, and writes the files of each."""
