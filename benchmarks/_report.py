"""The report: targets with pass or fail, a table per case, pixels, what was compared with what. Markdown for people, JSON with every run.

Here: medians, ratios, words. Not here: measuring.
"""

import dataclasses
import datetime as dt
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _machine import machine, our_versions, their_versions
from _photos import INTACT
from _records import BASELINE, MIB, OURS, Case, Contender, Results, Run

MIN_PSNR_DB = 50.0
SMALLEST_RUN = 10_000  # urls


def write_report(path: Path, results: Results, cases: list[Case], facts: dict[str, Any]) -> str:
    """Write `path` (markdown) and its .json neighbour; return the markdown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sections = [
        _head(facts),
        _targets(results, cases),
        *(_case(results, case) for case in cases),
        _pixels(results),
        _reading(results, cases, facts),
    ]
    text = "\n\n".join(filter(None, sections)) + "\n"
    path.write_text(text)
    runs = [
        {
            **dataclasses.asdict(run),
            "contender": dataclasses.asdict(results.contenders[case][number]),
        }
        for (case, number), runs in results.runs.items()
        for run in runs
    ]
    path.with_suffix(".json").write_text(
        json.dumps(
            {"facts": facts, "pixels": results.pixels, "notes": results.notes, "runs": runs},
            indent=1,
        )
    )
    return text


# --- values ---


def _median(runs: list[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(map(value, runs))


def _spread(runs: list[Run], value: Callable[[Run], float], digits: int = 0) -> str:
    """Format a median with the range it comes from."""
    values = [value(run) for run in runs]
    middle = f"{statistics.median(values):,.{digits}f}"
    return (
        middle
        if len(values) == 1
        else f"{middle} [{min(values):,.{digits}f}-{max(values):,.{digits}f}]"
    )


def _ratio(ours: list[Run], theirs: list[Run], value: Callable[[Run], float]) -> tuple[float, str]:
    """Return the ratio of medians, and with it the range over rounds, each round of ours against the same round of theirs."""
    ratio = _median(ours, value) / _median(theirs, value)
    by_round = {run.round: value(run) for run in theirs}
    pairs = [value(run) / by_round[run.round] for run in ours if run.round in by_round]
    spread = (
        f" [{min(pairs):.2f}-{max(pairs):.2f}]"
        if len(pairs) > 1
        else " (single run)"
        if len(ours) == 1
        else ""
    )
    return ratio, f"{ratio:.2f}{spread}"


def _pss(run: Run) -> float:
    return run.cost.peak_pss_bytes / MIB


def _per_s(run: Run) -> float:
    return run.per_s


# --- sections ---


def _head(facts: dict[str, Any]) -> str:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    options, photos = facts["options"], facts["photos"]
    data = (
        f"{options['urls']:,} urls per run over {photos['photos']:,} distinct synthetic photos (mean {photos['mean_bytes'] / 1000:.0f} kB, "
        f"{photos['mean_megapixels']:.2f} MP, 4:2:0; {photos['progressive']} progressive, {photos['with_exif']} with EXIF), "
        "3 % of the urls are 404, 2 % lead to broken files"
    )
    lines = [
        "# dataset_assets.download beside img2dataset",
        "",
        f"{now}. {machine(facts['work'])} Server and tools share these CPUs.",
        "",
    ]
    if options["urls"] < SMALLEST_RUN:
        lines += [
            f"**A run of {options['urls']} urls: start-up is most of it. The targets are meant for {SMALLEST_RUN:,} and more.**",
            "",
        ]
    lines += [f"- ours: {our_versions()}"]
    lines += [f"- baseline: {their_versions(baseline)}" for baseline in facts["baselines"]]
    lines += [f"- {data}", f"- both: `{json.dumps(facts['common'])}`"]
    return "\n".join(
        [
            *lines,
            "- ours with every protection on, except that 127.0.0.0/8 is allowed (the server is there)",
        ]
    )


def _targets(results: Results, cases: list[Case]) -> str:
    rows = [*_case_targets(results, cases), *_pixel_targets(results)]
    if not rows:
        return ""
    lines = [
        f"| {name} | {target} | {found} | {'pass' if good else '**FAIL**'} |"
        for name, target, found, good in rows
    ]
    return "\n".join(["## Targets", "", "| | target | measured | |", "|---|---|---|---|", *lines])


def _case_targets(results: Results, cases: list[Case]) -> Iterator[tuple[str, str, str, bool]]:
    for case in cases:
        reference = results.reference(case.name)
        if reference is None or not _is_judged(case, results.contenders[case.name][reference]):
            continue
        theirs = results.of(case.name, reference)
        for number, contender in enumerate(results.contenders[case.name]):
            ours = results.of(case.name, number)
            if contender.tool != OURS or not ours:
                continue
            memory, memory_text = _ratio(ours, theirs, _pss)
            if contender.low_memory:
                yield f"{case.name}: low-memory setting, peak PSS", "< 1 x", memory_text, memory < 1
                continue
            speed, speed_text = _ratio(ours, theirs, _per_s)
            if case.min_speedup:
                yield (
                    f"{case.name}: images/s",
                    f">= {case.min_speedup} x",
                    speed_text,
                    speed >= case.min_speedup,
                )
            if case.max_memory:
                yield (
                    f"{case.name}: peak PSS",
                    f"<= {case.max_memory} x",
                    memory_text,
                    memory <= case.max_memory,
                )
            intact = all(run.ok.get(INTACT) == run.seen.get(INTACT) for run in [*ours, *theirs])
            yield (
                f"{case.name}: every intact photo is a success of both",
                "yes",
                "yes" if intact else "no",
                intact,
            )


def _is_judged(case: Case, baseline: Contender) -> bool:
    return tuple(map(int, baseline.python_version.split("."))) >= case.min_baseline_python


def _pixel_targets(results: Results) -> Iterator[tuple[str, str, str, bool]]:
    if "kernels" in results.pixels:
        found = results.pixels["kernels"]["auto"]["exact"]
        yield (
            "pixels before encoding, against an exact area filter",
            f">= {MIN_PSNR_DB:.0f} dB",
            f"{found['min']:.1f} dB (worst)",
            found["min"] >= MIN_PSNR_DB,
        )


def _case(results: Results, case: Case) -> str:
    head = "| | settings | images/s | steady | x baseline | CPU ms/image | peak PSS MiB (RSS) | intact ok | other ok |"
    lines = [f"## {case.name}: {case.title}", "", head, "|---|---|---|---|---|---|---|---|---|"]
    reference = results.reference(case.name)
    for number, contender in enumerate(results.contenders[case.name]):
        lines.append(_contender_line(results, case, number, contender))
    if reference is not None and not _is_judged(case, results.contenders[case.name][reference]):
        lines += [
            "",
            f"Not judged: the baseline runs on Python {results.contenders[case.name][reference].python_version}, which builds a TLS context per request.",
        ]
    return "\n".join([*lines, *_case_notes(results, case)])


def _contender_line(results: Results, case: Case, number: int, contender: Contender) -> str:
    runs = results.of(case.name, number)
    name = f"{contender.label} (Python {contender.python_version})"
    if not runs:
        return f"| {name} | {contender.settings_text} | failed | | | | | | |"
    reference = results.reference(case.name)
    speed = (
        ""
        if reference is None
        else "1"
        if number == reference
        else _ratio(runs, results.of(case.name, reference), _per_s)[1]
    )
    last = runs[-1]
    others = sum(count for kind, count in last.ok.items() if kind != INTACT)
    return " | ".join(
        [
            f"| {name}",
            contender.settings_text,
            _spread(runs, _per_s),
            _spread(runs, lambda run: run.steady_per_s),
            speed,
            _spread(runs, lambda run: 1000 * run.cost.cpu_s / run.rows, 2),
            f"{_spread(runs, _pss)} ({_median(runs, lambda run: run.cost.peak_rss_bytes / MIB):,.0f})",
            f"{last.ok.get(INTACT, 0):,} of {last.seen.get(INTACT, 0):,}",
            f"{others} of {last.rows - last.seen.get(INTACT, 0)} |",
        ]
    )


def _case_notes(results: Results, case: Case) -> Iterator[str]:
    """Say where the tools disagree, what the server failed to answer, and how busy the machine was otherwise."""
    numbered = list(enumerate(results.contenders[case.name]))
    runs = [run for number, _ in numbered for run in results.of(case.name, number)]
    if not runs:
        return
    failed = sum(
        len(results.runs.get((case.name, number), [])) - len(results.of(case.name, number))
        for number, _ in numbered
    )
    foreign = [run.cost.foreign_cpu_s / run.cost.wall_s for run in runs]
    server = [1000 * run.cost.server_cpu_s / run.rows for run in runs]
    yield ""
    yield f"Foreign CPU {min(foreign):.2f}-{max(foreign):.2f} of a core; server {min(server):.2f}-{max(server):.2f} CPU ms/image (both not in the table)."
    if failed:
        yield f"**{failed} runs failed** and are not in the table."
    if replies := sum(run.server_failures for run in runs):
        yield f"**The server answered {replies} requests with 5xx.**"
    by_tool = {
        tool: next(
            (
                results.of(case.name, n)[-1]
                for n, c in numbered
                if c.tool == tool and results.of(case.name, n)
            ),
            None,
        )
        for tool in (BASELINE, OURS)
    }
    theirs, ours = by_tool[BASELINE], by_tool[OURS]
    if theirs and ours and theirs.ok != ours.ok:
        kinds = sorted(
            kind for kind in theirs.seen if theirs.ok.get(kind, 0) != ours.ok.get(kind, 0)
        )
        told = ", ".join(
            f"{kind} {theirs.ok.get(kind, 0)} / {ours.ok.get(kind, 0)} of {theirs.seen[kind]}"
            for kind in kinds
        )
        yield f"Successes differ, img2dataset / dataset_assets: {told}."


def _pixels(results: Results) -> str:
    lines = [
        "## Pixels",
        "",
        "PSNR in dB, identical pictures count as 99.",
        "",
        "| | pictures | min | p5 | median |",
        "|---|---|---|---|---|",
    ]
    for kernel, against in results.pixels.get("kernels", {}).items():
        lines += [
            _pixel_line(f"area_kernel={kernel} before encoding, against {name}", against[key])
            for key, name in (("exact", "an exact area filter"), ("cv2", "cv2 INTER_AREA"))
        ]
    if tars := results.pixels.get("shards"):
        lines.append(_pixel_line("finished JPEGs of both tools, first shard of `resize`", tars))
        lines += [
            "",
            (
                f"Of those {tars['bytes_equal']} are equal byte for byte, {tars['sizes_differ']} differ in size; "
                f"only img2dataset has {tars['only_baseline']}, only dataset_assets {tars['only_ours']}. "
                f"In the {tars['rows']} rows that both stored the hash is equal in {tars['hash_equal']}, "
                f"EXIF tags are there in {tars['exif_baseline']} of img2dataset's and {tars['exif_ours']} of ours."
            ),
        ]
    return "\n".join(lines) if results.pixels else ""


def _pixel_line(name: str, found: dict[str, float]) -> str:
    return (
        f"| {name} | {found['count']} | "
        + " | ".join(f"{found[key]:.1f}" if key in found else "" for key in ("min", "p5", "median"))
        + " |"
    )


def _reading(results: Results, cases: list[Case], facts: dict[str, Any]) -> str:
    single = [
        case.name
        for case in cases
        if all(
            len(results.of(case.name, n)) == 1
            for n in range(len(results.contenders[case.name]))
            if results.of(case.name, n)
        )
    ]
    rounds = facts["options"]["rounds"]
    medians = (
        f"Medians of {rounds} interleaved rounds [min-max]; x baseline is the ratio of medians [range over rounds]"
        if rounds > 1
        else "x baseline is the ratio"
    )
    lines = [
        "## Reading it",
        "",
        f"- {medians} to the fastest img2dataset setting.",
        f"- Single runs: {', '.join(single) or 'none'}. The pixel check is made once.",
        "- images/s is urls handled (failures too) by the wall clock of the whole process, start-up included; steady leaves start-up and end out.",
        "- CPU and memory are those of the tool's process tree, without the server. Peak PSS is sampled every 50 ms.",
        "- No real network: no DNS, no loss. Synthetic pictures: the resize ratio depends on the share of decoding and differs on real photos, in either direction.",
    ]
    return "\n".join([*lines, *(f"- {note}" for note in results.notes)])
