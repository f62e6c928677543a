"""A distribution with entry points, as an installer leaves it in a folder of `sys.path`."""

from collections.abc import Mapping
from pathlib import Path


def write_distribution(
    folder: Path,
    name: str,
    modules: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
) -> None:
    """Write modules and the metadata that lists them as plug-ins.

    Args:
        folder: a folder on the path of imports.
        name: of the distribution.
        modules: name of a module -> its source.
        entry_points: role of the registry -> name of the plug-in -> module.
    """
    for module, source in modules.items():
        path = folder.joinpath(*module.split("."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(source)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for role, plug_ins in entry_points.items():
        lines.append(f"[dataset_assets.{role}]")
        lines += [f"{plug_in} = {module}" for plug_in, module in plug_ins.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
