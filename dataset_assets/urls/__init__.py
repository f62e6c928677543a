"""URL lists in. A file in `formats` is an `input_format`.

A reader turns one list into Arrow tables of bounded size, with the columns that `ListOptions` asks
for, in the order of the output. No row is lost: a row that cannot be parsed becomes a row without a
URL, which is counted where URLs are fetched. `sources` finds lists in a store or in memory. Nothing
here knows about shards or plans.
"""
