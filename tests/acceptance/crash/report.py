"""How is a run shown?

A table for people, and one JSON object on the last line for whoever reads the output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.acceptance.crash.options import DEADLINE_MS, GRACE_S, Options
from tests.acceptance.crash.reckoning import Figures, p95

__all__ = ["RECOVERY_BOUND_S", "SERVING_BOUND_S", "as_json", "passed", "table"]

#: The lease (the gateway's deadline and 2 s), and 2 s for what comes after.
RECOVERY_BOUND_S = DEADLINE_MS / 1000 + GRACE_S + 2.0
SERVING_BOUND_S = 2.0


def passed(figures: Figures) -> bool:
    """Whether nothing is wrong; times are for whoever reads them, machines differ."""
    return not figures.wrong


def _rows(figures: Figures, options: Options, took_s: float) -> Iterator[tuple[str, str, str]]:
    yield "", "measured", "bound"
    for point, count in sorted(figures.kills.items()):
        yield f"kills at {point}", str(count), ""
    yield "kills", str(figures.kills.total()), f"≥ {options.kills}"
    yield "payments", str(figures.payments), f"≥ {10 * options.kills}"
    yield "charges, refunds", f"{figures.charges}, {figures.refunds}", ""
    yield "invoices, of them paid", f"{figures.invoices}, {figures.invoices_paid}", ""
    yield "movements divided", str(figures.shares), ""
    yield "payouts", str(figures.payouts), ""
    yield "answers, requests cut off", f"{figures.answers}, {figures.severed}", ""
    yield "open at a death", str(figures.left_open), ""
    for name, words in (
        ("lost", "acknowledged and lost"),
        ("doubled", "doubled"),
        ("invoices_lost", "lost: invoices"),
        ("shares_lost", "lost: shares"),
        ("payouts_lost", "lost: payouts"),
        ("invoices_doubled", "doubled: invoices"),
        ("shares_doubled", "doubled: shares"),
        ("payouts_doubled", "doubled: payouts"),
        ("orphans", "orphans"),
        ("drift_minor", "drift, minor units"),
        ("events_missing", "events missing"),
        ("events_doubled", "events doubled"),
        ("blind", "sent again without a look"),
        ("exceeded", "asked for more than there was"),
        ("unfinished", "buyers never done"),
        ("surprises", "answers nobody expects"),
        ("broken", "broken invariants"),
        ("silent", "points that never fired"),
    ):
        yield words, str(getattr(figures, name)), "0"
    recovery, longest = figures.recovery_s, max(figures.recovery_s, default=0.0)
    yield "recovery p95, s", f"{p95(recovery):.2f}", f"≤ {RECOVERY_BOUND_S:.0f}"
    yield "recovery, longest, s", f"{longest:.2f}", ""
    yield "recovery p95 from the first death, s", f"{p95(figures.recovery_from_first_s):.2f}", ""
    yield "serving again p95, s", f"{p95(figures.serving_again_s):.2f}", f"≤ {SERVING_BOUND_S:.0f}"
    yield "serving again, longest, s", f"{max(figures.serving_again_s, default=0.0):.2f}", ""
    yield "took, s", f"{took_s:.0f}", ""


def table(figures: Figures, options: Options, *, took_s: float) -> str:
    """What people read, with the reasons where something is wrong."""
    rows = list(_rows(figures, options, took_s))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {measured:>{widths[1]}}  {bound:<{widths[2]}}".rstrip()
        for name, measured, bound in rows
    ]
    lines += [f"  {word}" for word in figures.words]
    verdict = f"WRONG: {', '.join(figures.wrong)}" if figures.wrong else "Nothing lost or doubled."
    return "\n".join([*lines, verdict])


def as_json(figures: Figures, options: Options, *, took_s: float) -> str:
    """One line."""
    zeros = {name: getattr(figures, name) for name in Figures.MUST_BE_ZERO}
    return json.dumps(
        {
            "ok": passed(figures),
            "seed": options.seed,
            "kills": figures.kills.total(),
            "payments": figures.payments,
            "charges": figures.charges,
            "invoices": figures.invoices,
            "invoices_paid": figures.invoices_paid,
            "shares": figures.shares,
            "payouts": figures.payouts,
            **zeros,
            "recovery_p95_s": round(p95(figures.recovery_s), 3),
            "recovery_from_first_p95_s": round(p95(figures.recovery_from_first_s), 3),
            "serving_again_p95_s": round(p95(figures.serving_again_s), 3),
            "kills_by_point": dict(sorted(figures.kills.items())),
            "took_s": round(took_s, 1),
        }
    )
