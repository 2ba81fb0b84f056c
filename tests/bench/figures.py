"""What do the measurements say?

Pure arithmetic over latencies and positions, and what the operating system tells of a process.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Cut",
    "Spent",
    "Waits",
    "cpu_seconds",
    "cut_of",
    "family_seconds",
    "median",
    "percentile",
    "resident_mib",
    "resume_faults",
    "waits_of",
]

_TICKS = os.sysconf("SC_CLK_TCK")
_WAITS = re.compile(
    rb"gateway;dur=([\d.]+), commit;dur=([\d.]+), sql;desc=\"(\d+) statements, (\d+) commits\""
)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that `share` of all values do not exceed (nearest rank); 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def median(values: Sequence[float]) -> float:
    """The middle value; of an even number, the lower one of the two."""
    return percentile(sorted(values), 0.5)


class Cut(NamedTuple):
    """Latencies in milliseconds."""

    p50: float
    p95: float
    p99: float


def cut_of(seconds: Sequence[float]) -> Cut:
    """The three percentiles of latencies that are given in seconds."""
    ordered = sorted(seconds)
    return Cut(*(percentile(ordered, share) * 1e3 for share in (0.5, 0.95, 0.99)))


class Waits(NamedTuple):
    """What one answer's Server-Timing header says."""

    gateway_s: float
    commit_s: float
    statements: int
    commits: int


def waits_of(head: bytes) -> Waits | None:
    """The waits that the head of an HTTP answer names, or None where it names none."""
    found = _WAITS.search(head)
    if found is None:
        return None
    gateway, commit, statements, commits = found.groups()
    return Waits(float(gateway) / 1e3, float(commit) / 1e3, int(statements), int(commits))


class Spent(NamedTuple):
    """CPU time of a process in seconds."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.user + self.system


def cpu_seconds(pid: int) -> Spent:
    """What the process has used since it began (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return Spent(int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)


def family_seconds(pid: int) -> float:
    """CPU time of a process and its children, those that have ended too (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    total = sum(map(int, fields[11:15])) / _TICKS
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            total += cpu_seconds(int(child)).total
        except (
            FileNotFoundError,
            ProcessLookupError,
        ):  # it has ended since, and is counted with its parent next time
            continue
    return total


def resident_mib(pid: int) -> float:
    """The process's resident memory (proc(5), status, VmRSS)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def resume_faults(seen: Sequence[int], *, last: int) -> tuple[int, int]:
    """Gaps and duplicates of one subscriber: the positions it saw, in the order of their coming.

    It must have seen each position from its first to `last` once; one that comes late counts as a
    gap where it was missed and as a duplicate where it came.
    """
    if not seen:
        return 0, 0
    gaps = duplicates = 0
    expected = seen[0]
    for position in seen:
        if position < expected:
            duplicates += 1
            continue
        gaps += position - expected
        expected = position + 1
    return gaps + max(last + 1 - expected, 0), duplicates
