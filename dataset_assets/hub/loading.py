"""Loads published datasets: rows of tables or archives of one pinned version, never stale."""

import atexit
import functools
import os
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dataset_assets.errors import ConfigurationError, MissingDependency, ObjectMissing
from dataset_assets.hub._published_version import PublishedVersion, call_hub, find_version
from dataset_assets.hub.target import MANIFEST
from dataset_assets.records.splits import SplitManifest
from dataset_assets.records.stored_json import parse_stored

if TYPE_CHECKING:
    import datasets

_PLAIN_ARCHIVE = re.compile(r"(\w+)(?:-.*)?\.tar(?:\.gz)?")
_PLAIN_COLUMNS = {"recording": "string", "camera": "string"}


def load_published(
    target: str,
    split: str | None = None,
    streaming: bool = False,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | None = None,
) -> Any:
    """Load a published dataset: a `Dataset`, or an `IterableDataset` when streaming.

    Without a split, returns a dictionary of them.

    Args:
        target: the folder of a publication, or `org/name` on the Hub.
        split: one split, or an expression of `datasets` such as "train+test" or "train[:10]". A
            stream has no slices.
        streaming: read rows on demand instead of preparing tables in `cache_dir`.
        revision: branch, tag or commit; None is the newest of the main branch. It is pinned before
            the first file is read.
        token: for private repositories; None is that of the environment (HF_TOKEN).
        cache_dir: for prepared tables, one folder per version; None is that of `datasets`.

    Raises:
        ObjectMissing: no such folder, repository, revision or published version, or the token has
            no access.
        ConfigurationError: no such split.
        AccessDenied: the token is rejected.
        HubError: the Hub does not respond. Nothing is loaded from a cache instead.

    Example:
        >>> from dataset_assets import load_published
        >>> rows = load_published("published/me/photos", "train", streaming=True)
        >>> next(iter(rows))["image"].size
        (64, 64)
    """
    _require_datasets()
    import datasets

    version = find_version(target, revision=revision, token=token)
    options = {
        "revision": version.revision,
        "token": token,
        "cache_dir": version.cache_dir(cache_dir),
    }
    builder = call_hub(lambda: datasets.load_dataset_builder(version.path, **options), target)
    return _load(builder, target, builder.config.data_files or (), split, streaming=streaming)


def video_dataset(
    target: str,
    split: str | None = None,
    streaming: bool = False,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | None = None,
) -> Any:
    """Load the archives of a published dataset instead of its tables: the same rows.

    Raises what `load_published` raises.

    Args:
        target: as for `load_published`, or a folder of `<split>.tar[.gz]` or `<split>-*.tar[.gz]`
            that was not published. Its rows have `video`, `n_frames`, `key`, `recording` and
            `camera`.
        split: as for `load_published`.
        streaming: as for `load_published`.
        revision: as for `load_published`.
        token: as for `load_published`.
        cache_dir: as for `load_published`.

    Example:
        >>> from dataset_assets import video_dataset
        >>> rows = video_dataset("published/me/videos", "train")
        >>> rows[0]["n_frames"]
        3
    """
    _require_datasets()
    from dataset_assets.hub.builder import VideoDataset

    version = find_version(target, revision=revision, token=token, archives_only=True)
    manifest = _manifest(version, token)
    builder = VideoDataset(
        archives=manifest.archives if manifest else _plain_archives(version.base),
        media=manifest.media if manifest else "frames",
        columns=manifest.columns if manifest else _PLAIN_COLUMNS,
        base_path=version.base,
        hash=version.fingerprint,
        token=token,
        cache_dir=version.cache_dir(cache_dir),
        dataset_name="archives",
    )
    if not builder.config.archives:
        raise ObjectMissing(
            f"{target} has no archives; make them with archives=True, or use load_published, which "
            "reads the tables"
        )
    return _load(builder, target, builder.config.archives, split, streaming=streaming)


def _load(
    builder: "datasets.DatasetBuilder",
    target: str,
    splits: Iterable[str],
    split: str | None,
    *,
    streaming: bool,
) -> Any:
    known = [str(name) for name in splits]
    wanted = [part.partition("[")[0].strip() for part in (split or "all").split("+")]
    if any(name not in (*known, "all") for name in wanted):
        raise ConfigurationError(
            f"{target} has no split {split!r}: expected one of {', '.join(known)}"
        )
    if streaming:
        if split and "[" in split:
            raise ConfigurationError(
                f"split {split!r}: a stream has no slices; use .skip() and .take(), or "
                "streaming=False"
            )
        _delay_exit()
        return builder.as_streaming_dataset(split)
    call_hub(builder.download_and_prepare, target)
    return builder.as_dataset(split)


def _manifest(version: PublishedVersion, token: str | None) -> SplitManifest | None:
    path = os.path.join(version.base, MANIFEST)
    if version.revision is not None:
        path = _download_manifest(version, token)
    elif not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        data = file.read()
    return parse_stored(
        data,
        SplitManifest.from_json,
        where=path,
        expected="the manifest of a publication",
        remedy="publish again, or load another revision",
    )


def _download_manifest(version: PublishedVersion, token: str | None) -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    repo = version.path.partition("datasets/")[2]

    def download() -> str:
        return hf_hub_download(
            repo, MANIFEST, repo_type="dataset", revision=version.revision, token=token
        )

    try:
        return call_hub(download, repo)
    except EntryNotFoundError:
        raise ObjectMissing(
            f"{repo} has no {MANIFEST}, which lists its archives; use load_published, which reads "
            "the tables"
        ) from None


def _plain_archives(folder: str) -> dict[str, list[tuple[str, int]]]:
    archives: dict[str, list[tuple[str, int]]] = {}
    for name in sorted(os.listdir(folder)):
        found = _PLAIN_ARCHIVE.fullmatch(name)
        if found:
            archives.setdefault(found[1], []).append((name, -1))
    return archives


@functools.cache
def _delay_exit() -> None:
    """Delay the exit of the process by 0.1 s.

    Arrow readers that still run when it exits abort it (seen with pyarrow 26,
    https://github.com/apache/arrow/issues/45214).
    """
    atexit.register(time.sleep, 0.1)


def _require_datasets() -> None:
    from importlib.util import find_spec

    if find_spec("datasets") is None:
        raise MissingDependency(
            "loading a published dataset needs the package datasets: "
            "pip install 'dataset-assets[hub]'"
        )
