"""Run img2dataset's own tests on this package.

    python benchmarks/img2dataset_suite.py --tests img2dataset/tests [--drawn] [TEST ...]

The tests import `img2dataset`; in `img2dataset_shim` that name stands for this package:
`img2dataset.download` is `dataset_assets.compat.img2dataset.download`, one line, and the classes
that their unit tests make are adapters of a few lines. Nothing of img2dataset is part of this
project: get its tests from https://github.com/rom1504/img2dataset. Besides the environment of this
package they need `fastapi` and `uvicorn`.

With `--drawn`, the test files that a source distribution lacks, and the lists that name hosts of
the Internet, are replaced in a copy: pictures are drawn, and served at 127.0.0.1 (`_suite_files`).

Tests of reading lists have a limit of one second, which img2dataset itself does not keep on every
machine: raise it with `--time-factor`.

TEST chooses tests, as in `test_main.py::test_webdataset`. The exit status is 1 when a test that
applies does not pass.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from _baseline import prepare_baseline
from _suite_files import draw_files, serve

HERE = Path(__file__).parent
ROOT = HERE.parent
#: A word among the parameters of a test -> why it does not apply.
NOT_APPLICABLE = {
    "pyspark": "distributor pyspark: there are multiprocessing and serial",
    "ray": "distributor ray: there are multiprocessing and serial",
}
PASSED, FAILED = "passed", "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """One test with its parameters."""

    file: str
    name: str
    outcome: str
    """PASSED, FAILED, or why it does not apply."""
    message: str = ""
    """The last line of the error."""


def main() -> int:
    """Run, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tests", type=Path, required=True, help="folder of img2dataset's tests")
    parser.add_argument("--drawn", action="store_true", help="draw what is missing; no Internet")
    parser.add_argument("--cache", type=Path, default=HERE / ".cache", help="environments")
    parser.add_argument(
        "--time-factor", type=float, default=1.0, help="how many times longer tests may take"
    )
    parser.add_argument("chosen", nargs="*", metavar="TEST", help="default: all")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="img2dataset-suite-")))
        tests = work / "tests"
        shutil.copytree(arguments.tests, tests)
        if arguments.drawn:
            address = stack.enter_context(serve(tests))
            python = prepare_baseline(arguments.cache, "python3.12").python
            draw_files(tests, address, arguments.cache, python)
        results = run_tests(tests, arguments.chosen, arguments.time_factor)
    show(results)
    return int(not results or any(each.outcome == FAILED for each in results))


def run_tests(tests: Path, chosen: Sequence[str], time_factor: float) -> list[Result]:
    """Run pytest on a copy of the tests."""
    report = tests.parent / "report.xml"
    paths = (str(ROOT), str(HERE / "img2dataset_shim"), str(tests))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "TIME_FACTOR": str(time_factor),
        "DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
    }
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."),
        *("-p", "slow_clock"),
        *("--tb=short", f"--junitxml={report}", *(f"tests/{test}" for test in chosen or ("",))),
    ]
    subprocess.run(command, cwd=tests.parent, env=environment, check=False)
    return list(read_report(report))


def read_report(report: Path) -> Iterator[Result]:
    """Yield the results of a report in the JUnit format."""
    for case in ET.parse(report).iter("testcase"):
        problem = case.find("failure")
        problem = case.find("error") if problem is None else problem
        name = str(case.get("name"))
        file = str(case.get("classname")).rpartition(".")[2]
        if problem is None:
            yield Result(file, name, PASSED)
            continue
        outcome = next((NOT_APPLICABLE[word] for word in _words(name)), FAILED)
        yield Result(file, name, outcome, str(problem.get("message")).strip().splitlines()[0])


def _words(name: str) -> list[str]:
    return [word for word in re.findall(r"\w+", name.partition("[")[2]) if word in NOT_APPLICABLE]


def show(results: Sequence[Result]) -> None:
    """Print one line for each test function, then what failed and what does not apply."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in results:
        column = {PASSED: 0, FAILED: 1}.get(each.outcome, 2)
        counts[each.file, each.name.partition("[")[0]][column] += 1
    print("\n| file | test | passed | failed | not applicable |\n|---|---|---|---|---|")
    for (file, name), (passed, failed, other) in counts.items():
        print(f"| {file} | {name} | {passed} | {failed} | {other} |")
    totals = [sum(column) for column in zip(*counts.values(), strict=True)]
    print("| | all |", " | ".join(map(str, totals)), "|")
    for each in results:
        if each.outcome != PASSED:
            print(f"\n{each.file}::{each.name}: {each.outcome}\n    {each.message}")


if __name__ == "__main__":
    sys.exit(main())
