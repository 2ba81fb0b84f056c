"""Which payments does this file hold, and when did it become known what they were?

Two forms are read, told apart by their columns: payments through a gateway (`ts`, `tenant`,
`card`, `device`, …, and `label_ts`, the moment at which the label became known) and payments at
terminals (`TX_TIME_SECONDS`, `CUSTOMER_ID`, `TERMINAL_ID`, …), whose labels become known a fixed
time later. Parquet needs the extra `train`; CSV, also gzipped, needs nothing.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from payengine.errors import ConfigurationError, InputInvalid
from payengine.plugin.fraud import FraudContext

__all__ = ["DAY_S", "EPOCH", "Row", "World", "days_in", "instant", "read_world"]

DAY_S = 86_400
#: The worlds count seconds from a beginning of their own.
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)

_TERMINAL = ("TX_TIME_SECONDS", "CUSTOMER_ID", "TERMINAL_ID", "TRANSACTION_ID", "TX_FRAUD")
_GATEWAY = ("payment_id", "ts", "tenant", "amount")
_TEXTS = {
    "card": "card",
    "customer": "customer",
    "device": "device",
    "ip": "ip",
    "seller": "seller",
    "email": "email",
    "email_domain": "email_domain",
    "bin_country": "issuer_country",
    "ip_country": "ip_country",
    "ship_country": "ship_country",
    "billing_country": "billing_country",
}
_MOST_ROWS = 20_000_000


class Row(msgspec.Struct, frozen=True, gc=False):
    """One payment of a world: what was known at once, what it was, and when that became known.

    `at` and `label_at` are seconds from the world's beginning; `label_at` None: it never did.
    """

    tenant: str
    at: int
    payment_id: str
    minor: int
    texts: tuple[str | None, ...]
    account_age_days: int | None
    address_ok: bool | None
    cvc_ok: bool | None
    declined: bool
    fraud: int
    label_at: int | None


class World(msgspec.Struct, frozen=True, kw_only=True):
    """The payments of a file, in the order of time. `fields` says what each of a row's texts is."""

    form: Literal["terminal", "gateway"]
    fields: tuple[str, ...]
    rows: Sequence[Row]

    @property
    def days(self) -> int:
        """How many days it lasts."""
        return self.rows[-1].at // DAY_S + 1 if self.rows else 0

    def context(self, row: Row, *, after_answer: bool = False) -> FraudContext:
        """What an engine would have known; the issuer's answers only with `after_answer`."""
        texts: dict[str, Any] = dict(zip(self.fields, row.texts, strict=True))
        return FraudContext(
            tenant=row.tenant,
            stage="post_auth" if after_answer else "pre_auth",
            as_of=instant(row.at),
            payment_id=row.payment_id,
            amount_minor=row.minor,
            currency="EUR",
            base_minor=row.minor,
            base_currency="EUR",
            account_age_days=row.account_age_days,
            address_ok=row.address_ok if after_answer else None,
            cvc_ok=row.cvc_ok if after_answer else None,
            declined=row.declined if after_answer else None,
            **texts,
        )


def instant(seconds: int) -> datetime:
    """The instant so many seconds after a world's beginning."""
    return EPOCH + timedelta(seconds=seconds)


def days_in(path: Path) -> int:
    """How many days a file's payments last; raises as `read_world` does."""
    columns, _ = _opened(path)
    name = "TX_TIME_SECONDS" if "TX_TIME_SECONDS" in columns else "ts"
    if name not in columns:
        raise _formless(path, columns)
    if path.suffix == ".parquet":
        from pyarrow import compute, parquet

        newest = compute.max(parquet.read_table(path, columns=[name])[name]).as_py()
    else:
        newest = max((int(float(one[name])) for one in _opened(path)[1]), default=None)
    return 0 if newest is None else int(newest) // DAY_S + 1


def read_world(
    path: Path, *, label_delay_days: int, first_day: int = 0, end_day: int | None = None
) -> World:
    """The file's payments from `first_day` on, and before `end_day`.

    `label_delay_days` holds where the file does not say itself when its labels became known.
    Raises `InputInvalid` on a file that is neither form, `ConfigurationError` without the extra.
    """
    columns, records = _opened(path)
    begin = range(first_day * DAY_S, (10**6 if end_day is None else end_day) * DAY_S)
    if all(name in columns for name in _TERMINAL):
        return _world("terminal", ("card", "seller"), _terminal(records, label_delay_days), begin)
    if all(name in columns for name in _GATEWAY):
        named = {name: field for name, field in _TEXTS.items() if name in columns}
        fields = tuple(named.values())
        read = _gateway(records, tuple(named), label_delay_days)
        return _world("gateway", fields, read, begin)
    raise _formless(path, columns)


def _formless(path: Path, columns: tuple[str, ...]) -> InputInvalid:
    return InputInvalid(f"{path.name} has neither form: its columns are {str(columns)[:300]}.")


def _world(
    form: Literal["terminal", "gateway"],
    fields: tuple[str, ...],
    rows: Iterator[Row],
    seconds: range,
) -> World:
    kept: list[Row] = []
    try:
        for row in rows:
            if row.at in seconds:
                kept.append(row)
            if len(kept) > _MOST_ROWS:
                raise InputInvalid(f"The file holds more than {_MOST_ROWS} payments.")
    except (KeyError, TypeError, ValueError, ArithmeticError, EOFError) as problem:
        raise InputInvalid(f"The file's rows cannot be read: {problem}.") from None
    kept.sort(key=lambda row: row.at)
    return World(form=form, fields=fields, rows=kept)


def _terminal(records: Iterator[dict[str, Any]], delay_days: int) -> Iterator[Row]:
    delay = delay_days * DAY_S
    nothing = (None, None, None)
    for one in records:
        at = int(one["TX_TIME_SECONDS"])
        minor = one.get("TX_AMOUNT_MINOR")
        yield Row(
            "world",
            at,
            str(one["TRANSACTION_ID"]),
            int(minor) if minor is not None else _minor(one["TX_AMOUNT"]),
            (str(one["CUSTOMER_ID"]), str(one["TERMINAL_ID"])),
            *nothing,
            False,
            int(one["TX_FRAUD"]),
            at + delay,
        )


def _gateway(
    records: Iterator[dict[str, Any]], texts: tuple[str, ...], delay_days: int
) -> Iterator[Row]:
    delay = delay_days * DAY_S
    for one in records:
        at = int(one["ts"])
        fraud = _whole(one.get("is_fraud")) or 0
        label_at = _whole(one["label_ts"]) if "label_ts" in one else at + delay
        yield Row(
            str(one["tenant"]),
            at,
            str(one["payment_id"]),
            _minor(one["amount"]),
            tuple(str(one[name]) if one[name] not in (None, "") else None for name in texts),
            _whole(one.get("account_age_days")),
            _flag(one.get("avs")),
            _flag(one.get("cvc")),
            bool(_whole(one.get("declined"))),
            fraud,
            label_at,
        )


def _minor(amount: Any) -> int:
    """Two decimals, exactly; amounts of the files are in major units."""
    return int((Decimal(str(amount)) * 100).to_integral_value())


def _whole(value: Any) -> int | None:
    if value is None or value == "" or value != value:
        return None
    return int(float(value))


def _flag(value: Any) -> bool | None:
    found = _whole(value)
    return None if found is None else bool(found)


def _opened(path: Path) -> tuple[tuple[str, ...], Iterator[dict[str, Any]]]:
    if not path.is_file():
        raise InputInvalid(f"{path} is no file.")
    if path.suffix == ".parquet":
        return _parquet(path)
    opened: Callable[..., IO[str]] = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        columns = tuple(next(csv.reader(file), ()))

    def records() -> Iterator[dict[str, Any]]:
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)

    return columns, records()


def _parquet(path: Path) -> tuple[tuple[str, ...], Iterator[dict[str, Any]]]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        raise ConfigurationError(
            "Reading parquet needs more packages: install payengine[train]."
        ) from None
    try:
        file = parquet.ParquetFile(path)
    except ArrowInvalid as problem:
        raise InputInvalid(f"{path.name} is no parquet file: {str(problem)[:200]}") from None

    def records() -> Iterator[dict[str, Any]]:
        for batch in file.iter_batches(batch_size=50_000):
            yield from batch.to_pylist()

    return tuple(file.schema_arrow.names), records()
