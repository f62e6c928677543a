"""`configured_training_sets`: the sets of a dataset configuration of finetrainers."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.training_set.training_set import training_set
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.training.configuration import ConfiguredSet, read_configuration


def configured_training_sets(
    configuration: str,
    output: str,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float | None]:
    """Make the training set of each entry of a dataset configuration. Idempotent.

    Sets of earlier configurations stay.

    Args:
        configuration: path of the JSON file; see `training.configuration`.
        output: path or URL of a folder for the sets, one folder for each.
        progress: called with (samples done, samples) of the set at work.

    Returns:
        URL of each set -> its weight, in the order of the configuration: what `open_training_set`
        and `training_loader` take.

    Raises:
        ConfigurationError: the file is missing, or is not a dataset configuration.
        SourceError, StorageError: see `training_set`.

    Example:
        >>> from dataset_assets.pipelines.training_set.configured import configured_training_sets
        >>> made = configured_training_sets("training.json", "sets")
        >>> sets = [open_training_set(url) for url in made]
        >>> loader = training_loader(sets, weights=list(made.values()))
    """
    try:
        data = Path(configuration).read_bytes()
    except OSError as exc:
        raise ConfigurationError(
            f"{configuration}: expected a dataset configuration, got {exc.strerror}"
        ) from exc
    found: dict[str, float | None] = {}
    for entry in read_configuration(data, configuration):
        url = f"{output.rstrip('/')}/{_folder(entry)}"
        if url in found:
            raise ConfigurationError(
                f"{configuration}: expected distinct sets, got {entry.url} with equal options "
                "twice; write it once, with a weight"
            )
        values = asdict(entry.options)
        captions = values.pop("captions")
        training_set(entry.url, url, medium=entry.medium, progress=progress, **values, **captions)
        found[url] = entry.weight
    return found


def _folder(entry: ConfiguredSet) -> str:
    """Return a name for the folder of a set: of its source, medium and options."""
    name = entry.url.rstrip("/").rpartition("/")[2]
    readable = "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in name)
    digest = fingerprint_of([entry.url, entry.medium, entry.options.to_json()])[:8]
    return f"{readable.strip('.')[:40] or 'set'}-{digest}"
