"""Real photographs over real HTTP on this machine: what `make demo` downloads.

`photos` describes the photographs and the parts of them that are served, `crops` encodes these
parts, `lists` writes the two URL lists, `faults` imitates the misbehavior of the web, and
`photo_server` answers the URLs. `run` is the demo itself, and the only file here that uses the
graph. Nothing here reaches another machine.
"""
