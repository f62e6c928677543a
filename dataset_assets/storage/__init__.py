"""Where bytes are stored. A plug-in in `stores/` is a URL scheme.

`local` is plain paths and file://, `s3` also s3a://, `fsspec` every other scheme. A store is a
folder with keys below it. Nothing here knows what the bytes mean. Stores are picklable and hold no
open handles, so they travel to worker processes and Spark executors.
"""
