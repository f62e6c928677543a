"""Run one command and measure its process tree: wall clock, CPU and peak memory.

The CPU time of the rest of the machine is measured too. Here: processes and /proc (Linux only). Not
here: what the command is or what its output means. The command gets a session of its own, so its
process tree is its process group; no process outside that group is signaled.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_EVERY_S = 0.05
MAX_SAMPLING_SHARE = 0.02  # of one core: samples are taken less often when they cost more
_PR_SET_CHILD_SUBREAPER = 36
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run cost. CPU seconds are user + system."""

    exit_status: int
    """Of the command; negative: the signal that ended it."""
    wall_s: float
    cpu_s: float
    """Of all processes of the command."""
    peak_pss_bytes: int
    """Of the tree: shared pages are divided among the processes that share them."""
    peak_rss_bytes: int
    """Of the tree: shared pages count in every process."""
    peak_processes: int
    server_cpu_s: float
    foreign_cpu_s: float
    """CPU of the machine that neither the command nor the server used."""
    samples: int
    sampling_s: float
    """CPU of sampling; part of foreign_cpu_s."""


def measure(
    command: list[str], *, env: dict[str, str], log: Path, server: list[int], limit_s: float
) -> Measurement:
    """Run a command to its end, or end it after `limit_s`.

    Args:
        command: program and arguments.
        env: its environment.
        log: file for its output.
        server: process ids whose CPU is measured separately.
        limit_s: longest run, seconds.
    """
    # orphans of the command become our children, so that their CPU is counted too
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    machine_before = _machine_cpu_s()
    server_before = sum(map(_process_cpu_s, server))
    started = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
    sampler = _Sampler(process.pid)
    descriptor = os.pidfd_open(process.pid)
    try:
        sampler.run_until_ready(descriptor, limit_s)
        wall_s = time.monotonic() - started
    finally:
        os.close(descriptor)
        status, cpu_s = _reap(process)
    server_cpu_s = sum(map(_process_cpu_s, server)) - server_before
    foreign_cpu_s = _machine_cpu_s() - machine_before - cpu_s - server_cpu_s
    return Measurement(
        exit_status=status,
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_pss_bytes=sampler.peak_pss_bytes,
        peak_rss_bytes=sampler.peak_rss_bytes,
        peak_processes=sampler.peak_processes,
        server_cpu_s=server_cpu_s,
        foreign_cpu_s=max(0.0, foreign_cpu_s),
        samples=sampler.samples,
        sampling_s=sampler.spent_s,
    )


class _Sampler:
    """Peak memory of a process group."""

    def __init__(self, group: int) -> None:
        self.peak_pss_bytes = self.peak_rss_bytes = self.peak_processes = self.samples = 0
        self.spent_s = 0.0
        self._group = group

    def run_until_ready(self, descriptor: int, limit_s: float) -> None:
        """Sample until the process of `descriptor` has ended, or until `limit_s`."""
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + limit_s
        pause_s = 0.0
        while not poller.poll(pause_s * 1000) and time.monotonic() < deadline:
            before = time.thread_time()
            self._sample()
            cost_s = time.thread_time() - before
            self.spent_s += cost_s
            pause_s = max(SAMPLE_EVERY_S, cost_s / MAX_SAMPLING_SHARE)

    def _sample(self) -> None:
        pss = rss = processes = 0
        for pid in _group_members(self._group):
            # a process may end between the listing and the reading
            with contextlib.suppress(OSError, KeyError, ValueError):
                fields = dict(
                    line.split(":", 1)
                    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
                )
                pss += int(fields["Pss"].split()[0]) * 1024
                rss += int(fields["Rss"].split()[0]) * 1024
                processes += 1
        self.peak_pss_bytes = max(self.peak_pss_bytes, pss)
        self.peak_rss_bytes = max(self.peak_rss_bytes, rss)
        self.peak_processes = max(self.peak_processes, processes)
        self.samples += 1


def _group_members(group: int) -> list[int]:
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.getpgid(int(name)) == group:
                    members.append(int(name))
    return members


def _reap(process: "subprocess.Popen[bytes]") -> tuple[int, float]:
    """End the rest of a process group; return the exit status and the CPU seconds of all."""
    group = process.pid
    status = -signal.SIGKILL
    cpu_s = 0.0
    deadline = time.monotonic() + 5
    while True:
        try:
            pid, code, usage = os.wait4(-group, os.WNOHANG)
        except ChildProcessError:
            break
        if pid:
            cpu_s += usage.ru_utime + usage.ru_stime
            status = os.waitstatus_to_exitcode(code) if pid == group else status
            continue
        if time.monotonic() > deadline or _is_running(group):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        time.sleep(0.02)
    process.returncode = status  # so that Popen does not wait for it
    return status, cpu_s


def _is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _process_cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _machine_cpu_s() -> float:
    """Busy CPU seconds of the machine since it started: user, nice, system, irq, softirq, steal."""
    values = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(values[n] for n in (0, 1, 2, 5, 6, 7)) / _TICKS_PER_S
