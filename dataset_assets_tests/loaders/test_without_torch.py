import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = (
    "loaders.mlx.stream",
    "loaders.samples.reader",
    "loaders.labels.label_maps",
    "pipelines.preview.batch",
)


def test_streams_for_mlx_samples_and_previews_do_without_torch():
    imports = "\n".join(f"import dataset_assets.{name}" for name in MODULES)
    code = f"import sys; sys.modules['torch'] = None\n{imports}"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
