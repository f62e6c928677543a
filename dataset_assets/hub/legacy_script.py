"""The loading script with which `datasets` before 4 reads the archives of a publication.

Version 4 removed scripts. It refuses a repository with `<repository>.py` at its root, and a folder
with `<folder>.py`, so the script is always at `legacy/load_<name>.py`. It contains the text of
`_archive_rows`, so its rows are those of `builder.VideoDataset`.
"""

import inspect
import json
import re

from dataset_assets.errors import ConfigurationError
from dataset_assets.hub import _archive_rows
from dataset_assets.records.splits import SplitManifest

_TEMPLATE = '''"""Loading script of {repo} for datasets < 4. Newer versions need none.

Reads the archives beside the folder of this file, or those of the revision below on the Hub.
"""

import os

import datasets
from huggingface_hub import hf_hub_url

_REPO = {repo!r}
_REVISION = {revision!r}
_MEDIA = {media!r}
_COLUMNS = {columns}
_ARCHIVES = {archives}  # split -> archive, samples


class ArchiveDataset(datasets.GeneratorBasedBuilder):
    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIGS = [
        datasets.BuilderConfig(name="default", version=VERSION, description={description!r})
    ]
    DEFAULT_WRITER_BATCH_SIZE = 16

    def _info(self):
        features = datasets.Features.from_dict(row_features(_MEDIA, _COLUMNS))
        return datasets.DatasetInfo(description={description!r}, features=features)

    def _split_generators(self, dl_manager):
        return [
            self._split_generator(dl_manager, split, files) for split, files in _ARCHIVES.items()
        ]

    def _split_generator(self, dl_manager, split, files):
        paths = [path for path, _ in files]
        local = dl_manager.download([_address(self.base_path, path) for path in paths])
        archives = [dl_manager.iter_archive(path) for path in local]
        counts = [count for _, count in files]
        return datasets.SplitGenerator(
            name=split, gen_kwargs={{"archives": archives, "paths": paths, "counts": counts}}
        )

    def _generate_examples(self, archives, paths, counts):
        for archive, path, count in zip(archives, paths, counts):
            yield from archive_rows(archive, path, count, _MEDIA, _COLUMNS)


def _address(base_path, path):
    local = os.path.join(os.path.dirname(str(base_path)), path)
    if "://" not in local and os.path.isfile(local):
        return local
    return hf_hub_url(_REPO, path, repo_type="dataset", revision=_REVISION)


'''


def script_path(repo: str) -> str:
    """Return the path of the script in its repository."""
    name = re.sub(r"\W", "_", repo.rpartition("/")[2], flags=re.ASCII)
    return check_script_path(f"legacy/load_{name}.py", repo)


def check_script_path(path: str, repo: str) -> str:
    """Return a path at which a script breaks no newer version of `datasets`.

    Raises:
        ConfigurationError: it is at the root, or has the name of its folder or the repository.
    """
    folder, _, name = path.rpartition("/")
    if not folder or name in (f"{repo.rpartition('/')[2]}.py", f"{folder.rpartition('/')[2]}.py"):
        raise ConfigurationError(
            f"{path!r} would make {repo!r} unloadable in datasets >= 4; put the script at "
            "legacy/load_<name>.py"
        )
    return path


def legacy_script(manifest: SplitManifest, repo: str, *, revision: str = "main") -> str:
    """Return the text of the script.

    `revision` is what the script reads; prefer a tag, which never moves, to a branch.

    Raises:
        ConfigurationError: the version has no archives.
    """
    if not manifest.archives:
        raise ConfigurationError(
            "a legacy script reads archives and this version has none; make the split archives "
            "with archives=True"
        )
    head = _TEMPLATE.format(
        repo=repo,
        revision=revision,
        media=manifest.media,
        columns=json.dumps(manifest.columns, indent=4),
        archives=json.dumps(manifest.archives, indent=4),
        description=f"snapshot {manifest.version}",
    )
    text = head + _rows_code()
    compile(text, script_path(repo), "exec")
    return text


def _rows_code() -> str:
    """Return the source of `_archive_rows` without its docstring."""
    source = inspect.getsource(_archive_rows)
    return source.split('"""\n', 1)[1].lstrip("\n")
