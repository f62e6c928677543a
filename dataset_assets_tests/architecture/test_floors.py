import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_floors_hold_when_imports_are_linted():
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
