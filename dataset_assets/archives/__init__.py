"""Archive files: the one place that reads and writes tar, zip and gzip.

Our own tars (shard sets and splits) have one codec of headers, one writer and one strict reader:
`tar_header`, `tar_writer`, `tar_reader`. The writer is reproducible: equal members give equal
bytes. `split_tar` reads and checks the archives of splits, which may be packed. Archives that
others published are untrusted: `published_tar` and `published_zip` check names, sizes and counts
before a byte is used; `opening` opens them and `hashed_file` compares the published checksum.
Nothing is ever extracted to disk under the name of a member. What the members mean is no concern of
this folder.
"""
