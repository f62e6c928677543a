"""The report: targets with pass or fail, a table per case, and pixels; all runs as JSON.

Here: medians, ratios, texts. Not here: measuring.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _figures import median, ratio, spread
from _machine import machine, our_versions, their_versions
from _photos import INTACT
from _records import BASELINE, DAFT, MIB, OURS, Case, Contender, Results, Run

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


def _pss(run: Run) -> float:
    return run.cost.peak_pss_bytes / MIB


def _per_s(run: Run) -> float:
    return run.per_s


# --- sections ---


def _head(facts: dict[str, Any]) -> str:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    options = facts["options"]
    photos = facts["photos"]
    data = (
        f"{options['urls']:,} URLs per run over {photos['photos']:,} distinct synthetic photos "
        f"(mean {photos['mean_bytes'] / 1000:.0f} kB, {photos['mean_megapixels']:.2f} MP, 4:2:0; "
        f"{photos['progressive']} progressive, {photos['with_exif']} with EXIF), "
        "3 % of the URLs are 404, 2 % lead to broken files"
    )
    lines = [
        "# dataset_assets.download beside img2dataset and Daft",
        "",
        f"{now}. {machine(facts['work'])} Server and tools share these CPUs.",
        "",
    ]
    if options["urls"] < SMALLEST_RUN:
        lines += [
            (
                f"**A run of {options['urls']} URLs: start-up is most of it. "
                f"The targets are meant for {SMALLEST_RUN:,} and more.**"
            ),
            "",
        ]
    lines += [f"- ours: {our_versions()}"]
    lines += [f"- baseline: {their_versions(baseline)}" for baseline in facts["baselines"]]
    lines += [f"- {data}", f"- both: `{json.dumps(facts['common'])}`"]
    return "\n".join(
        [
            *lines,
            "- ours with every protection on, but 127.0.0.0/8, where the server is, is allowed",
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
            memory, memory_text = ratio(ours, theirs, _pss)
            if contender.low_memory:
                yield f"{case.name}: low-memory setting, peak PSS", "< 1 x", memory_text, memory < 1
                continue
            speed, speed_text = ratio(ours, theirs, _per_s)
            if case.min_speedup:
                yield (
                    f"{case.name}: images/s",
                    f">= {case.min_speedup} x",
                    speed_text,
                    speed >= case.min_speedup,
                )
            daft = results.reference(case.name, DAFT)
            if case.min_daft_speedup and daft is not None:
                speed, speed_text = ratio(ours, results.of(case.name, daft), _per_s)
                yield (
                    f"{case.name}: images/s, relative to Daft",
                    f">= {case.min_daft_speedup} x",
                    speed_text,
                    speed >= case.min_daft_speedup,
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
    head = (
        "| | settings | images/s | steady | x baseline | CPU ms/image | peak PSS MiB (RSS) "
        "| intact ok | other ok |"
    )
    lines = [f"## {case.name}: {case.title}", "", head, "|---|---|---|---|---|---|---|---|---|"]
    reference = results.reference(case.name)
    for number, contender in enumerate(results.contenders[case.name]):
        lines.append(_contender_line(results, case, number, contender))
    lines += _beside_daft(results, case)
    if reference is not None and not _is_judged(case, results.contenders[case.name][reference]):
        version = results.contenders[case.name][reference].python_version
        lines += [
            "",
            (
                f"Not judged: the baseline runs on Python {version}, which creates a TLS context "
                "per "
                "request."
            ),
        ]
    return "\n".join([*lines, *_case_notes(results, case)])


def _beside_daft(results: Results, case: Case) -> Iterator[str]:
    """Yield a line with our ratios to Daft, in the cases that it takes part in."""
    daft = results.reference(case.name, DAFT)
    ours = results.reference(case.name, OURS)
    if daft is None or ours is None:
        return
    pair = results.of(case.name, ours), results.of(case.name, daft)
    speed, memory = (ratio(*pair, value)[1] for value in (_per_s, _pss))
    cpu = ratio(*pair, lambda run: run.cost.cpu_s / run.rows)[1]
    yield ""
    yield f"Ours relative to Daft: images/s {speed}, CPU an image {cpu}, peak PSS {memory}."


def _contender_line(results: Results, case: Case, number: int, contender: Contender) -> str:
    runs = results.of(case.name, number)
    name = f"{contender.label} (Python {contender.python_version})"
    if not runs:
        return f"| {name} | {contender.settings_text} | failed | | | | | | |"
    reference = results.reference(case.name)
    speed = ""
    if reference is not None:
        is_reference = number == reference
        theirs = results.of(case.name, reference)
        speed = "1" if is_reference else ratio(runs, theirs, _per_s)[1]
    rss = median(runs, lambda run: run.cost.peak_rss_bytes / MIB)
    last = runs[-1]
    others = sum(count for kind, count in last.ok.items() if kind != INTACT)
    return " | ".join(
        [
            f"| {name}",
            contender.settings_text,
            spread(runs, _per_s),
            spread(runs, lambda run: run.steady_per_s),
            speed,
            spread(runs, lambda run: 1000 * run.cost.cpu_s / run.rows, 2),
            f"{spread(runs, _pss)} ({rss:,.0f})",
            f"{last.ok.get(INTACT, 0):,} of {last.seen.get(INTACT, 0):,}",
            f"{others} of {last.rows - last.seen.get(INTACT, 0)} |",
        ]
    )


def _case_notes(results: Results, case: Case) -> Iterator[str]:
    """Yield where the tools disagree, failures of the server, and the load of the machine."""
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
    yield (
        f"Foreign CPU {min(foreign):.2f}-{max(foreign):.2f} of a core; server "
        f"{min(server):.2f}-{max(server):.2f} CPU ms/image (neither is in the table)."
    )
    if failed:
        yield f"**{failed} runs failed** and are not in the table."
    if replies := sum(run.server_failures for run in runs):
        yield f"**The server returned 5xx for {replies} requests.**"
    theirs, ours = (_last_run(results, case, tool) for tool in (BASELINE, OURS))
    if theirs and ours and theirs.ok != ours.ok:
        kinds = sorted(
            kind for kind in theirs.seen if theirs.ok.get(kind, 0) != ours.ok.get(kind, 0)
        )
        counts = ", ".join(
            f"{kind} {theirs.ok.get(kind, 0)} / {ours.ok.get(kind, 0)} of {theirs.seen[kind]}"
            for kind in kinds
        )
        yield f"Successes differ, img2dataset / dataset_assets: {counts}."


def _last_run(results: Results, case: Case, tool: str) -> Run | None:
    """Return the last successful run of the first contender of a tool that has any."""
    for number, contender in enumerate(results.contenders[case.name]):
        runs = results.of(case.name, number)
        if contender.tool == tool and runs:
            return runs[-1]
    return None


def _pixels(results: Results) -> str:
    lines = [
        "## Pixels",
        "",
        "PSNR in dB, identical images count as 99.",
        "",
        "| | images | min | p5 | median |",
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
                f"Of those {tars['bytes_equal']} are byte-identical, {tars['sizes_differ']} differ "
                f"in size; only img2dataset has {tars['only_baseline']}, only dataset_assets "
                f"{tars['only_ours']}. Of the {tars['rows']} rows that both stored, "
                f"{tars['hash_equal']} have the same hash; {tars['exif_baseline']} of img2dataset "
                f"and {tars['exif_ours']} of ours have EXIF tags."
            ),
        ]
    return "\n".join(lines) if results.pixels else ""


def _pixel_line(name: str, found: dict[str, float]) -> str:
    values = [f"{found[key]:.1f}" if key in found else "" for key in ("min", "p5", "median")]
    return f"| {name} | {found['count']} | {' | '.join(values)} |"


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
    medians = "x baseline is the ratio"
    if rounds > 1:
        medians = (
            f"Medians of {rounds} interleaved rounds [min-max]; "
            "x baseline is the ratio of medians [range over rounds]"
        )
    lines = [
        "## Reading it",
        "",
        f"- {medians} to the fastest img2dataset setting.",
        f"- Single runs: {', '.join(single) or 'none'}. Pixels are checked once.",
        (
            "- images/s is URLs processed (including failures) by the wall clock of the whole "
            "process, "
            "including start-up; steady excludes start-up and end."
        ),
        (
            "- CPU and memory are those of the tool's process tree, without the server. Peak PSS "
            "is "
            "sampled every 50 ms."
        ),
        (
            "- No real network: no DNS, no loss. Synthetic images: the resize ratio depends on the "
            "share of decoding and differs for real photos, in either direction."
        ),
    ]
    return "\n".join([*lines, *(f"- {note}" for note in results.notes)])
