from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.bench.figures import (
    Cut,
    Waits,
    cpu_seconds,
    cut_of,
    family_seconds,
    median,
    percentile,
    resident_mib,
    resume_faults,
    waits_of,
)


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value


def test_percentile_of_nothing_is_nothing() -> None:
    assert percentile([], 0.99) == 0.0


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.01) == percentile([7.0], 0.99) == 7.0


def test_median_is_a_value_that_was_measured() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0]) == 1.0


def test_cut_is_in_milliseconds_and_needs_no_order() -> None:
    assert cut_of([0.003, 0.001, 0.002]) == Cut(2.0, 3.0, 3.0)


def test_waits_are_read_from_the_header() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nserver-timing: total;dur=12.500, gateway;dur=1.500, "
        b'commit;dur=8.250, sql;desc="3 statements, 2 commits"\r\n'
    )
    assert waits_of(head) == Waits(0.0015, 0.00825, 3, 2)


def test_an_answer_without_the_header_has_no_waits() -> None:
    assert waits_of(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n") is None


def test_a_process_uses_cpu_and_memory() -> None:
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()).user < before.user + 0.01:
        sum(range(10_000))
    assert cpu_seconds(os.getpid()).total > before.total
    assert resident_mib(os.getpid()) > 5


def test_what_children_used_counts_when_they_have_ended() -> None:
    before = family_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert family_seconds(os.getpid()) > before


@pytest.mark.parametrize(
    ("seen", "last", "faults"),
    [
        ([3, 4, 5], 5, (0, 0)),
        ([3, 5], 5, (1, 0)),
        ([3, 3, 4, 5], 5, (0, 1)),
        ([3, 4], 6, (2, 0)),
        ([3, 5, 4], 5, (1, 1)),
        ([3, 4, 3, 4, 5], 5, (0, 2)),
        ([], 5, (0, 0)),
    ],
)
def test_every_hole_and_every_repetition_counts(
    seen: list[int], last: int, faults: tuple[int, int]
) -> None:
    assert resume_faults(seen, last=last) == faults
