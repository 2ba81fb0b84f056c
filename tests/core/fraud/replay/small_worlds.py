"""Worlds of a few hundred payments, in both forms, made by a seed."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path
from typing import Any

__all__ = ["gateway_rows", "terminal_rows", "written"]

DAY_S = 86_400


def gateway_rows(*, days: int = 24, per_day: int = 60, seed: int = 1) -> list[dict[str, Any]]:
    """Stolen cards come in runs from one new device, with large amounts."""
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for day in range(days):
        runs = {chance.randrange(per_day) for _ in range(3)}
        for number in range(per_day):
            at = day * DAY_S + number * (DAY_S // per_day)
            if number in runs:
                rows.extend(_stolen(chance, at, len(rows)))
                continue
            who = chance.randrange(200)
            rows.append(_row(len(rows), at, who, chance.randrange(500, 9_000)))
    return sorted(rows, key=lambda row: row["ts"])


def _stolen(chance: random.Random, at: int, number: int) -> list[dict[str, Any]]:
    device = f"x{number}"
    made = []
    for step in range(4):
        when = at + step * 40
        row = _row(number + step, when, 900 + number, chance.randrange(8_000, 40_000))
        row |= {"device": device, "is_fraud": 1, "account_age_days": 0, "ip_country": "VN",
                "label_ts": when + chance.randrange(1, 4) * DAY_S}  # fmt: skip
        if chance.random() < 0.2:
            row |= {"declined": 1, "label_ts": ""}
        made.append(row)
    return made


def _row(number: int, at: int, who: int, minor: int) -> dict[str, Any]:
    return {
        "payment_id": f"p{number}-{at}",
        "ts": at,
        "tenant": who % 2,
        "seller": f"s{who % 7}",
        "customer": f"u{who}",
        "card": f"c{who}",
        "bin_country": "DE",
        "device": f"d{who}",
        "ip": f"i{who}",
        "ip_country": "DE",
        "email_domain": ("gmail", "corp")[who % 2],
        "account_age_days": 50 + who,
        "amount": f"{minor / 100:.2f}",
        "ship_country": "DE",
        "avs": 1,
        "cvc": 1,
        "declined": 0,
        "is_fraud": 0,
        "label_ts": at + 5 * DAY_S,
    }


def terminal_rows(*, days: int = 30, per_day: int = 60, seed: int = 2) -> list[dict[str, Any]]:
    """A terminal is captured for ten days, and large amounts are frauds everywhere."""
    chance = random.Random(seed)
    rows = []
    for number in range(days * per_day):
        at = number * (DAY_S // per_day)
        day, terminal = at // DAY_S, chance.randrange(12)
        minor = chance.randrange(500, 9_000) * (4 if chance.random() < 0.03 else 1)
        caught = terminal == day // 10 or minor > 15_000
        rows.append(
            {
                "TRANSACTION_ID": number,
                "TX_TIME_SECONDS": at,
                "TX_TIME_DAYS": day,
                "CUSTOMER_ID": chance.randrange(40),
                "TERMINAL_ID": terminal,
                "TX_AMOUNT_MINOR": minor,
                "TX_FRAUD": int(caught),
            }
        )
    return rows


def written(rows: list[dict[str, Any]], path: Path) -> Path:
    """The rows as a file: CSV, or gzipped by its name."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
