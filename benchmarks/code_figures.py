"""Print figures of the source: sizes, density, conditional expressions, comments.

    python benchmarks/code_figures.py [FOLDER ...]

A folder of another project, or of an earlier commit, gives its row beside ours. Tokens are those of
Python's tokenizer without comments, docstrings, line ends and indentation.
"""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median, quantiles

ROOT = Path(__file__).parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}


@dataclass
class Figures:
    """What is counted over the files of a folder."""

    file_lines: list[int] = field(default_factory=list)
    function_lines: list[int] = field(default_factory=list)
    function_tokens: list[int] = field(default_factory=list)
    line_lengths: list[int] = field(default_factory=list)
    tokens: int = 0
    code_lines: int = 0
    comment_lines: int = 0
    conditional_expressions: int = 0
    packed_assignments: int = 0

    def row(self) -> dict[str, str]:
        """Return the figures as text, by name."""
        lines = sum(self.file_lines)
        return {
            "files": f"{len(self.file_lines):,}",
            "lines": f"{lines:,}",
            "code lines": f"{self.code_lines:,}",
            "file lines median/p90/max": spread(self.file_lines),
            "function lines median/p90/max": spread(self.function_lines),
            "tokens a function median/p90/max": spread(self.function_tokens),
            "tokens a code line": f"{self.tokens / self.code_lines:.1f}",
            "characters a code line": f"{mean(self.line_lengths):.0f}",
            "conditional expressions per 1,000 lines": per_thousand(
                self.conditional_expressions, lines
            ),
            "packed assignments per 1,000 lines": per_thousand(self.packed_assignments, lines),
            "comment lines %": f"{100 * self.comment_lines / lines:.1f}",
        }


def spread(values: list[int]) -> str:
    """Return the median, the 90th percentile and the largest value."""
    return f"{median(values):.0f}/{quantiles(values, n=10)[-1]:.0f}/{max(values)}"


def per_thousand(count: int, lines: int) -> str:
    """Return a count as a rate."""
    return f"{1000 * count / lines:.1f}"


def measure(folder: Path) -> Figures:
    """Count over all Python files of a folder."""
    figures = Figures()
    for path in sorted(folder.rglob("*.py")):
        add(figures, path.read_text())
    return figures


def add(figures: Figures, source: str) -> None:
    """Count one file."""
    tree = ast.parse(source)
    lines = source.splitlines()
    docs = set(docstring_lines(tree))
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    counted = [t for t in tokens if t.type not in LAYOUT and t.start[0] not in docs]
    code = {row for token in counted for row in range(token.start[0], token.end[0] + 1)}
    figures.file_lines.append(len(lines))
    figures.tokens += len(counted)
    figures.code_lines += len(code)
    figures.line_lengths += [len(lines[row - 1]) for row in code]
    figures.comment_lines += len({t.start[0] for t in tokens if t.type == tokenize.COMMENT})
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp):
            figures.conditional_expressions += 1
        elif isinstance(node, ast.Assign) and is_packed(node):
            figures.packed_assignments += 1
        elif isinstance(node, Function):
            first, last = node.lineno, node.end_lineno or node.lineno
            own = [t for t in counted if first <= t.start[0] <= last]
            figures.function_tokens.append(len(own))
            figures.function_lines.append(len({t.start[0] for t in own}))


def docstring_lines(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of strings that stand alone: docstrings of modules, functions and fields."""
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def is_packed(node: ast.Assign) -> bool:
    """Tell whether `a, b = x, y` assigns unrelated values in one statement."""
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def main() -> None:
    """Print a table, a column for each folder."""
    folders = [Path(name) for name in sys.argv[1:]] or [ROOT / "dataset_assets"]
    rows = [measure(folder).row() for folder in folders]
    for name in rows[0]:
        print(f"{name:<42}", *(f"{row[name]:>16}" for row in rows))


if __name__ == "__main__":
    main()
