"""Which payments does this file hold, and when did it become known what they were?

Two forms are read, told apart by their columns: payments through a gateway (`ts`, `tenant`,
`card`, `device`, …, and `label_ts`, the moment at which the label became known) and payments at
terminals (`TX_TIME_SECONDS`, `CUSTOMER_ID`, `TERMINAL_ID`, …), whose labels become known a fixed
time later. Columns may stand in any order, and what a form can do without may be missing. Days are
counted from the day of the file's first payment. Parquet needs the extra `train`; CSV, also
gzipped, needs nothing; which it is says the file's beginning, not its name.
"""

from __future__ import annotations

import csv
import gzip
import zlib
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

#: What a form cannot do without; of the second tuple one is enough.
_TERMINAL = ("TX_TIME_SECONDS", "CUSTOMER_ID", "TERMINAL_ID", "TX_FRAUD")
_TERMINAL_AMOUNTS = ("TX_AMOUNT_MINOR", "TX_AMOUNT")
_GATEWAY = ("ts", "amount", "is_fraud")
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
    #: What the file's own seconds were at this world's beginning.
    origin_s: int = 0

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
    begins, ends = _span(path)
    return (ends - begins) // DAY_S + 1


def read_world(
    path: Path, *, label_delay_days: int, first_day: int = 0, end_day: int | None = None
) -> World:
    """The file's payments from `first_day` on, and before `end_day`.

    `label_delay_days` holds where the file does not say itself when its labels became known.
    Raises `InputInvalid` on a file that is neither form, `ConfigurationError` without the extra.
    """
    columns, records = _opened(path)
    form = _form(path, columns)
    origin = _span(path)[0]
    begin = range(first_day * DAY_S, (10**6 if end_day is None else end_day) * DAY_S)
    if form == "terminal":
        read = _terminal(records, label_delay_days, origin)
        return _world("terminal", ("card", "seller"), read, begin, origin)
    named = {name: field for name, field in _TEXTS.items() if name in columns}
    fields = tuple(named.values())
    read = _gateway(records, tuple(named), label_delay_days, origin)
    return _world("gateway", fields, read, begin, origin)


def _form(path: Path, columns: tuple[str, ...]) -> Literal["terminal", "gateway"]:
    """Which form the columns have; raises `InputInvalid` that says what is lacking."""
    if _TERMINAL[0] in columns:
        form: Literal["terminal", "gateway"] = "terminal"
        lacking = [name for name in _TERMINAL if name not in columns]
        if not set(_TERMINAL_AMOUNTS) & set(columns):
            lacking.append(" or ".join(_TERMINAL_AMOUNTS))
    else:
        form = "gateway"
        lacking = [name for name in _GATEWAY if name not in columns]
    if not lacking:
        return form
    if "ts" not in columns and form == "gateway":
        raise InputInvalid(
            f"{path.name} has neither form: its columns are {str(columns)[:300]}, and there is "
            "neither TX_TIME_SECONDS (payments at terminals) nor ts (through a gateway)."
        )
    raise InputInvalid(
        f"{path.name} is of the form {form}, and lacks {', '.join(lacking)}; its columns are "
        f"{str(columns)[:300]}."
    )


def _span(path: Path) -> tuple[int, int]:
    """The second at which the file's first day begins, and that of its last payment."""
    columns, records = _opened(path)
    name = _TERMINAL[0] if _form(path, columns) == "terminal" else "ts"
    if _is_parquet(path):
        from pyarrow import compute, parquet

        found = compute.min_max(parquet.read_table(path, columns=[name])[name]).as_py()
        oldest, newest = found["min"], found["max"]
    else:
        oldest = newest = None
        try:
            for one in records:
                at = _second(one[name])
                oldest = at if oldest is None or at < oldest else oldest
                newest = at if newest is None or at > newest else newest
        except _UNREADABLE as problem:
            raise InputInvalid(f"{path.name}: {name} cannot be read: {problem}.") from None
    if oldest is None:
        raise InputInvalid(f"{path.name} holds no payments.")
    try:
        return _second(oldest) // DAY_S * DAY_S, _second(newest)
    except _UNREADABLE:
        raise InputInvalid(f"{path.name}: {name} holds no seconds but {oldest!r}.") from None


_UNREADABLE = (KeyError, TypeError, ValueError, ArithmeticError, EOFError, OSError, zlib.error)


def _world(
    form: Literal["terminal", "gateway"],
    fields: tuple[str, ...],
    rows: Iterator[Row],
    seconds: range,
    origin: int,
) -> World:
    kept: list[Row] = []
    read = 0
    try:
        for row in rows:
            read += 1
            if row.at in seconds:
                kept.append(row)
            if len(kept) > _MOST_ROWS:
                raise InputInvalid(f"The file holds more than {_MOST_ROWS} payments.")
    except _UNREADABLE as problem:
        raise InputInvalid(f"The file's row {read + 1} cannot be read: {problem!r}.") from None
    kept.sort(key=lambda row: row.at)
    return World(form=form, fields=fields, rows=kept, origin_s=origin)


def _terminal(records: Iterator[dict[str, Any]], delay_days: int, origin: int) -> Iterator[Row]:
    delay = delay_days * DAY_S
    nothing = (None, None, None)
    for number, one in enumerate(records):
        at = _second(one["TX_TIME_SECONDS"]) - origin
        minor = _whole(one.get("TX_AMOUNT_MINOR"))
        yield Row(
            "world",
            at,
            str(one.get("TRANSACTION_ID", number)),
            minor if minor is not None else _minor(one["TX_AMOUNT"]),
            (str(one["CUSTOMER_ID"]), str(one["TERMINAL_ID"])),
            *nothing,
            False,
            _whole(one["TX_FRAUD"]) or 0,
            at + delay,
        )


def _gateway(
    records: Iterator[dict[str, Any]], texts: tuple[str, ...], delay_days: int, origin: int
) -> Iterator[Row]:
    delay = delay_days * DAY_S
    for number, one in enumerate(records):
        at = _second(one["ts"]) - origin
        fraud = _whole(one["is_fraud"]) or 0
        label_at: int | None = at + delay
        if "label_ts" in one:
            told = _whole(one["label_ts"])
            label_at = None if told is None else told - origin
        yield Row(
            str(one.get("tenant", "world")),
            at,
            str(one.get("payment_id", number)),
            _minor(one["amount"]),
            tuple(str(one[name]) if one[name] not in (None, "") else None for name in texts),
            _whole(one.get("account_age_days")),
            _flag(one.get("avs")),
            _flag(one.get("cvc")),
            bool(_whole(one.get("declined"))),
            fraud,
            label_at,
        )


def _second(value: Any) -> int:
    """Whole seconds, however they are spelled."""
    return value if type(value) is int else int(float(value))


def _minor(amount: Any) -> int:
    """Two decimals, exactly; amounts of the files are in major units."""
    return int((Decimal(str(amount)) * 100).to_integral_value())


def _whole(value: Any) -> int | None:
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    return int(float(value))


_WORDS: dict[str, int | None] = {
    "true": 1,
    "false": 0,
    "nan": None,
    "none": None,
    "null": None,
    "<na>": None,
}


def _flag(value: Any) -> bool | None:
    found = _whole(value)
    return None if found is None else bool(found)


def _opened(path: Path) -> tuple[tuple[str, ...], Iterator[dict[str, Any]]]:
    if not path.is_file():
        raise InputInvalid(f"{path} is no file.")
    if _is_parquet(path):
        return _parquet(path)
    is_zipped = _beginning(path).startswith(b"\x1f\x8b")
    opened: Callable[..., IO[str]] = gzip.open if is_zipped else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            columns = tuple(next(csv.reader(file), ()))
    except (*_UNREADABLE, csv.Error) as problem:
        raise InputInvalid(f"{path.name} is neither parquet nor CSV: {problem}.") from None

    def records() -> Iterator[dict[str, Any]]:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)

    return columns, records()


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _is_parquet(path: Path) -> bool:
    return _beginning(path) == b"PAR1"


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
