"""`datasets` 3.6, the last version with loading scripts, in its own environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

PACKAGES = ("datasets==3.6.0", "pillow")

_READER = """
import json, sys
import datasets, numpy
job = json.loads(sys.argv[1])
assert datasets.__version__ == "3.6.0"
path = job.pop("path")
if "script" in job:
    from huggingface_hub import hf_hub_download
    path = hf_hub_download(path, job.pop("script"), repo_type="dataset")
def plain(value):
    if isinstance(value, list):
        return [plain(one) for one in value]
    return numpy.asarray(value).tolist() if hasattr(value, "getbbox") else value
rows = {
    split: [{name: plain(value) for name, value in row.items()} for row in found]
    for split, found in datasets.load_dataset(path, **job).items()
}
print("ROWS" + json.dumps(rows))
"""


def environment_folder(cache: Path) -> Path:
    """Return the folder of the environment, built if necessary. Safe in concurrent processes."""
    folder = cache / "datasets-3.6.0"
    if not folder.exists():
        made = Path(mkdtemp(dir=cache))
        subprocess.run([sys.executable, "-m", "venv", made], check=True)
        subprocess.run(
            [made / "bin" / "python", "-m", "pip", "install", "-q", *PACKAGES], check=True
        )
        try:
            made.rename(folder)
        except OSError:  # another process was faster
            return folder
    return folder


def load_with_old_datasets(
    folder: Path, home: Path, path: str, *, environment: dict[str, str] | None = None, **options
):
    """Run `load_dataset` there with an empty cache; return rows per split, images as lists."""
    command = [folder / "bin" / "python", "-c", _READER, json.dumps({"path": path, **options})]
    variables = {
        **os.environ,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0" if environment else "1",
        **(environment or {}),
    }
    done = subprocess.run(
        command, env=variables, cwd=home, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.partition("ROWS")[2])
