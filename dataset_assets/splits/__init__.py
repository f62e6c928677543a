"""Which sample goes to which split, and what the files of a split look like.

A file in `sources/` is a source that can be split. Nothing here writes into the output folder
except `table` and `versions`; `pipelines/split` composes these modules.
"""
