"""Published datasets in: rows of tables, or of the archives, always those of one pinned version and never those of an old cache."""

import atexit
import functools
import os
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dataset_assets.errors import ConfigurationError, MissingDependency, ObjectMissing
from dataset_assets.hub._publication import Publication, find_publication, patiently
from dataset_assets.records.splits import SplitManifest

if TYPE_CHECKING:
    import datasets


def load_published(
    target: str,
    split: str | None = None,
    streaming: bool = False,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | None = None,
) -> Any:
    """Load a published dataset: a `Dataset`, streamed an `IterableDataset`, without a split a dictionary of them.

    Args:
        target: the folder of a publication, or `org/name` on the Hub.
        split: one split, or what `datasets` makes of it: "train+test", "train[:10]" (not streamed).
        streaming: rows as they are asked for, instead of a table prepared in `cache_dir`.
        revision: branch, tag or commit; the newest of the main branch if None. It is pinned before the first file is read.
        token: for private repositories; that of the environment (HF_TOKEN) if None.
        cache_dir: prepared tables, one folder per version; the one of `datasets` if None.

    Raises:
        ObjectMissing: no such folder, repository, revision or published version, or the token may not see it.
        ConfigurationError: no such split.
        AccessDenied: the token is refused.
        HubError: the Hub does not answer. Nothing comes from a cache instead.
    """
    _require_datasets()
    import datasets

    publication = find_publication(target, revision=revision, token=token)
    cache = publication.cache_dir(cache_dir)
    options = {"revision": publication.revision, "token": token, "cache_dir": cache}
    builder = patiently(lambda: datasets.load_dataset_builder(publication.path, **options), target)
    return _rows(builder, target, builder.config.data_files or (), split, streaming=streaming)


def video_dataset(
    target: str,
    split: str | None = None,
    streaming: bool = False,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | None = None,
) -> Any:
    """Load the archives of a published dataset instead of its tables: the same rows. Arguments and errors are those of `load_published`.

    A plain folder of `<split>.tar[.gz]` or `<split>-*.tar[.gz]` works too, with rows of `video`, `n_frames`, `key`, `recording` and `camera`.
    """
    _require_datasets()
    from dataset_assets.hub.builder import VideoDataset

    publication = find_publication(target, revision=revision, token=token, archives_only=True)
    manifest = _manifest(publication, token)
    builder = VideoDataset(
        archives=_archives(manifest) if manifest else _plain_archives(publication.base),
        media=manifest.media if manifest else "frames",
        columns=manifest.columns if manifest else {"recording": "string", "camera": "string"},
        base_path=publication.base,
        hash=publication.fingerprint,
        token=token,
        cache_dir=publication.cache_dir(cache_dir),
        dataset_name="archives",
    )
    if not builder.config.archives:
        raise ObjectMissing(
            f"{target} has no archives; make them with archives=True, or use load_published, which reads the tables"
        )
    return _rows(builder, target, builder.config.archives, split, streaming=streaming)


def _rows(
    builder: "datasets.DatasetBuilder",
    target: str,
    splits: Iterable[str],
    split: str | None,
    *,
    streaming: bool,
) -> Any:
    names = [str(name) for name in splits]
    asked = [part.partition("[")[0].strip() for part in (split or "all").split("+")]
    if any(name not in (*names, "all") for name in asked):
        raise ConfigurationError(f"{target} has no split {split!r}; there are: {', '.join(names)}")
    if streaming:
        if split and "[" in split:
            raise ConfigurationError(
                f"split {split!r}: a stream has no slices; use .skip() and .take(), or streaming=False"
            )
        _let_readers_end()
        return builder.as_streaming_dataset(split)
    patiently(builder.download_and_prepare, target)
    return builder.as_dataset(split)


def _manifest(publication: Publication, token: str | None) -> SplitManifest | None:
    path = os.path.join(publication.base, "manifest.json")
    if publication.revision is not None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        repo = publication.path.partition("datasets/")[2]
        options: dict[str, Any] = {
            "repo_type": "dataset",
            "revision": publication.revision,
            "token": token,
        }
        try:
            path = patiently(lambda: hf_hub_download(repo, "manifest.json", **options), repo)
        except EntryNotFoundError:
            raise ObjectMissing(
                f"{repo} has no manifest.json, which lists its archives; load_published reads its tables"
            ) from None
    elif not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return SplitManifest.from_json(file.read())


def _archives(manifest: SplitManifest) -> dict[str, list[tuple[str, int]]]:
    tars = [file for file in manifest.files if file.kind != "parquet"]
    archives = {
        name: [(file.name, file.samples) for file in tars if file.split == name]
        for name in manifest.splits
    }
    return {
        name: files for name, files in archives.items() if files
    }  # an empty split can not be prepared


def _plain_archives(folder: str) -> dict[str, list[tuple[str, int]]]:
    archives: dict[str, list[tuple[str, int]]] = {}
    for name in sorted(os.listdir(folder)):
        found = re.fullmatch(r"(\w+)(?:-.*)?\.tar(?:\.gz)?", name)
        if found:
            archives.setdefault(found[1], []).append((name, -1))
    return archives


@functools.cache
def _let_readers_end() -> None:
    """Wait a moment before this process ends: readers of Arrow that are still at work then abort it (seen with pyarrow 26, apache/arrow#45214)."""
    atexit.register(time.sleep, 0.1)


def _require_datasets() -> None:
    from importlib.util import find_spec

    if find_spec("datasets") is None:
        raise MissingDependency(
            "loading a published dataset needs the package datasets: pip install 'dataset-assets[hub]'"
        )
