"""Real photographs over real HTTP on this machine: what `make demo` downloads.

`photos` says which photographs and which parts of them, `crops` encodes those, `lists` writes the two url lists, `faults` is the misbehaviour of
the web, `photo_server` answers the urls. Nothing here reaches another machine, and nothing here knows Dagster.
"""
