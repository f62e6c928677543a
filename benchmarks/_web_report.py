"""The report about the simulated web: a table per arrangement, causes, targets; all runs as JSON.

Here: medians, ratios, texts. Not here: measuring.
"""

import dataclasses
import datetime as dt
import json
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _figures import median, ratio, spread
from _machine import machine, our_versions, their_versions
from _records import BASELINE, MIB, OURS, Contender
from _web_runs import WebRun

#: Arrangements with a target for rows/s, as ratio to the baseline.
MIN_SPEEDUPS = dict.fromkeys(("web", "dead", "hang", "limited"), 5.0)
MIN_SPEEDUP_OF_MANY = 8.0  # of the setting with the most connections, from MANY_URLS on
MANY_URLS = 40_000
MAX_MEMORY = 0.6  # peak PSS, as ratio to the baseline
SMALLEST_RUN = 10_000  # urls

Runs = dict[tuple[str, int], list[WebRun]]
"""(arrangement, number of the contender) -> runs."""


def write_web_report(
    path: Path, contenders: list[Contender], runs: Runs, facts: dict[str, Any], notes: list[str]
) -> str:
    """Write `path` (markdown) and its .json neighbor; return the markdown."""
    good = {key: [run for run in found if run.succeeded] for key, found in runs.items()}
    good = {key: found for key, found in good.items() if found}
    arrangements = list(dict.fromkeys(arrangement for arrangement, _ in good))
    sections = [
        _head(facts),
        _targets(arrangements, contenders, good, facts),
        *(_arrangement(each, contenders, good, facts) for each in arrangements),
        "\n".join([_READING, *(f"- {note}" for note in notes)]),
    ]
    text = "\n\n".join(filter(None, sections)) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    told = [
        {**dataclasses.asdict(run), "contender": dataclasses.asdict(contenders[number])}
        for (_, number), found in runs.items()
        for run in found
    ]
    path.with_suffix(".json").write_text(
        json.dumps({"facts": facts, "notes": notes, "runs": told}, indent=1)
    )
    return text


def describe(run: WebRun) -> str:
    """Describe a run in one line."""
    if not run.succeeded:
        return f"FAILED with status {run.cost.exit_status}\n{run.log_tail}"
    causes = ", ".join(f"{cause} {rows}" for cause, rows in _failures(run).most_common(4))
    return (
        f"{_per_s(run):6.0f} rows/s, {run.successes:,} of {run.rows:,} rows, "
        f"open {run.longest_open_s:.1f} s, CPU {run.cost.cpu_s:.1f} s, {_pss(run):.0f} MiB; "
        f"{causes}"
    )


def _per_s(run: WebRun) -> float:
    return run.per_s


def _pss(run: WebRun) -> float:
    return run.cost.peak_pss_bytes / MIB


def _failures(run: WebRun) -> Counter[str]:
    failures = run.outcomes
    del failures["success"]
    return failures


# --- sections ---


def _head(facts: dict[str, Any]) -> str:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [
        "# dataset_assets.download beside img2dataset, on a simulated web",
        "",
        f"{now}. {machine(facts['work'])} Servers and tools share these CPUs.",
        "",
    ]
    if facts["urls"] < SMALLEST_RUN:
        lines += [
            (
                f"**A run of {facts['urls']} URLs: start-up is most of it. "
                f"The targets are meant for {SMALLEST_RUN:,} and more.**"
            ),
            "",
        ]
    return "\n".join(
        [
            *lines,
            f"- ours: {our_versions()}",
            *(f"- baseline: {their_versions(baseline)}" for baseline in facts["baselines"]),
            (
                f"- {facts['urls']:,} URLs of {facts['hosts']:,} hosts, seed {facts['seed']}; "
                f"photos of {facts['photos']['mean_bytes'] / 1000:.0f} kB"
            ),
            f"- both: `{json.dumps(facts['common'])}`",
        ]
    )


def _targets(
    arrangements: list[str], contenders: list[Contender], runs: Runs, facts: dict[str, Any]
) -> str:
    rows = [row for each in arrangements for row in _targets_of(each, contenders, runs, facts)]
    if not rows:
        return ""
    head = ["## Targets", "", "| | target | found | |", "|---|---|---|---|"]
    lines = [
        f"| {name} | {target} | {found} | {_judged(good)} |" for name, target, found, good in rows
    ]
    return "\n".join([*head, *lines])


def _judged(good: bool) -> str:
    return "pass" if good else "**FAIL**"


def _targets_of(
    arrangement: str, contenders: list[Contender], runs: Runs, facts: dict[str, Any]
) -> Iterator[tuple[str, str, str, bool]]:
    """Yield (name, target, found, is met)."""
    reference = _reference(arrangement, contenders, runs)
    ours = [
        number
        for number, contender in enumerate(contenders)
        if contender.tool == OURS and (arrangement, number) in runs
    ]
    if reference is None or not ours:
        return
    theirs = runs[arrangement, reference]
    most = max(ours, key=lambda number: contenders[number].settings["thread_count"])
    for number in ours:
        found = runs[arrangement, number]
        name = f"`{arrangement}`, {contenders[number].settings_text}"
        speedup = MIN_SPEEDUPS.get(arrangement)
        if speedup is not None and facts["urls"] >= MANY_URLS and number == most:
            speedup = MIN_SPEEDUP_OF_MANY
        if speedup is not None:
            value, text = ratio(found, theirs, _per_s)
            yield f"{name}: rows/s", f"at least {speedup:g} x", text, value >= speedup
        fewest, most_theirs = _fewest(found), max(run.successes for run in theirs)
        yield (
            f"{name}: successes",
            f"at least {most_theirs:,} in every round",
            f"{fewest:,}",
            fewest >= most_theirs,
        )
        value, text = ratio(found, theirs, _pss)
        yield f"{name}: peak memory", f"at most {MAX_MEMORY:g} x", text, value <= MAX_MEMORY
        open_s, limit_s = max(run.longest_open_s for run in found), facts["total_timeout_s"]
        yield (
            f"{name}: longest open shard",
            f"at most {limit_s:g} s, the total timeout",
            f"{open_s:.1f} s",
            open_s <= limit_s,
        )


def _fewest(runs: list[WebRun]) -> int:
    return min(run.successes for run in runs)


def _reference(arrangement: str, contenders: list[Contender], runs: Runs) -> int | None:
    """Return the number of the fastest baseline setting."""
    known = [
        number
        for number, contender in enumerate(contenders)
        if contender.tool == BASELINE and (arrangement, number) in runs
    ]
    return max(known, key=lambda number: median(runs[arrangement, number], _per_s), default=None)


def _arrangement(
    arrangement: str, contenders: list[Contender], runs: Runs, facts: dict[str, Any]
) -> str:
    reference = _reference(arrangement, contenders, runs)
    reachable = facts["reachable"][arrangement]
    lines = [
        f"## {arrangement}: {facts['described'][arrangement]}",
        "",
        f"Hosts that serve their images have {reachable:,} of the rows.",
        "",
        "| tool | rows/s | x | successes | CPU s | x | peak PSS MiB | x | longest open shard s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for number, contender in enumerate(contenders):
        found = runs.get((arrangement, number))
        if not found:
            continue
        ratios = ["1", "1", "1"]
        if number != reference:
            theirs = runs.get((arrangement, -1 if reference is None else reference))
            values = (_per_s, lambda run: run.cost.cpu_s, _pss)
            ratios = [ratio(found, theirs, value)[1] if theirs else "" for value in values]
        cells = [
            f"{contender.label} {contender.settings_text}",
            spread(found, _per_s),
            ratios[0],
            spread(found, lambda run: run.successes),
            spread(found, lambda run: run.cost.cpu_s, 1),
            ratios[1],
            spread(found, _pss),
            ratios[2],
            spread(found, lambda run: run.longest_open_s, 1),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_causes(arrangement, contenders, runs)]
    return "\n".join(lines)


def _causes(arrangement: str, contenders: list[Contender], runs: Runs) -> Iterator[str]:
    """Yield a table: what happened to the rows of each kind of host, medians."""
    found = {
        f"{contender.label} {contender.settings_text}": runs[arrangement, number]
        for number, contender in enumerate(contenders)
        if (arrangement, number) in runs
    }
    yield f"| rows of hosts, by outcome | {' | '.join(found)} |"
    yield f"|---|{'---|' * len(found)}"
    kinds = sorted({kind for each in found.values() for run in each for kind in run.by_kind})
    for kind in kinds:
        cells = [_medians([run.by_kind.get(kind, {}) for run in each]) for each in found.values()]
        yield f"| {kind} | {' | '.join(cells)} |"
    cells = [_medians([run.responses for run in each]) for each in found.values()]
    yield f"| responses | {' | '.join(cells)} |"


def _medians(counts: list[dict[str, int]]) -> str:
    """Format the medians of counters, the largest first."""
    keys = {key for each in counts for key in each}
    values = {key: statistics.median([each.get(key, 0) for each in counts]) for key in keys}
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{key} {value:,.0f}" for key, value in ordered)


_READING = """## Reading it

- Medians of interleaved rounds [min-max]; the ratios are of medians [range over rounds], to the \
fastest setting of img2dataset.
- x is the ratio to that setting. rows/s is rows of the list by the wall clock of the whole process.
- CPU and memory are those of the tool's process tree, without the servers.
- A shard is open from its start (both tools note it in the shard's record, before the first \
request and the first file) to its commit (the modification of that record, which both write last).
- `responses` are those that nginx sent; 499 means that the client left before."""
