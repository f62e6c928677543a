"""`verify`: checks whether a shard set or a split agrees with its records. Called by users."""

from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.pipelines.verify.split import is_split, verify_split
from dataset_assets.storage.store import open_store


def verify(folder: str, *, quick: bool = False) -> list[str]:
    """List the problems of a shard set or of a split.

    Args:
        folder: path or URL of the folder.
        quick: compare records and sizes only, without reading the files. Otherwise every byte is
            read and hashed.

    Returns:
        One sentence for each problem; an empty list if there is none.

    Raises:
        ObjectMissing: the folder holds neither a shard set nor a split.
        StorageError: the store cannot be read.

    Example:
        >>> from dataset_assets import verify
        >>> verify("shards"), verify("splits", quick=True)
        ([], [])
    """
    store = open_store(folder)
    verify_contents = verify_split if is_split(store) else verify_set
    return verify_contents(store, deep=not quick)
