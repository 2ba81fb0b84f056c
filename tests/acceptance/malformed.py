"""Which calls does nobody's provider send?

Seeded: noise, JSON at its edges, bodies and headers that were tampered with, and calls whose
signature is right and whose content is not. None of them is a webhook.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from payengine.context import TenantContext

from tests.notices import Notice, notice, signed

__all__ = ["malformed_calls"]

_EDGES: tuple[bytes, ...] = (
    b"",
    b"null",
    b"true",
    b"0",
    b"-0",
    b"NaN",
    b"Infinity",
    b"1e999",
    b"9" * 400,
    b'""',
    b'"\\ud800"',
    b'"\\u0000"',
    b"[]",
    b"{}",
    b"[[]",
    b"{}{}",
    b"{,}",
    b"{'a': 1}",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"\x00" * 64,
    b"[" * 60_000,
    b'{"a":' * 20_000,
    b'{"id": "x", "id": "y"}',
    b"--boundary\r\ncontent-disposition: form-data\r\n\r\n1\r\n--boundary--",
    b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
    b"a=1&b=2",
    b"\x1f\x8b\x08\x00bomb",
    b" " * 100_000,
)

#: A field of the operation, and what it must not hold.
_WRONG: tuple[tuple[str, Any], ...] = (
    ("amount_minor", -1),
    ("amount_minor", 0),
    ("amount_minor", 10.5),
    ("amount_minor", "1000"),
    ("amount_minor", None),
    ("amount_minor", True),
    ("amount_minor", 2**63),
    ("amount_minor", 10**30),
    ("amount_minor", 10**13),
    ("currency", "eur"),
    ("currency", "EURO"),
    ("currency", ""),
    ("currency", 978),
    ("currency", "E\u0130R"),
    ("status", "perhaps"),
    ("status", ""),
    ("status", None),
    ("status", "not_found"),
    ("status", "SUCCEEDED"),
    ("status", "requires_action"),
    ("kind", "dispute"),
    ("kind", "payment"),
    ("kind", ["authorize"]),
    ("key", ""),
    ("key", "\u0000"),
    ("key", "x" * 256),
    ("key", "4111111111111111"),
    ("key", "a\nb"),
    ("key", 7),
    ("reference", ""),
    ("reference", "x" * 5_000),
    ("reference", "\u202eevil"),
    ("reference", None),
    ("captured", "yes"),
    ("fee_minor", -5),
    ("fee_minor", 1.5),
    ("fee_minor", 10**15),
    ("expires_at", "tomorrow"),
    ("expires_at", "2026-01-01T00:00:00"),
    ("expires_at", "9999-12-31T23:59:59-14:00"),
    ("next_action_url", "javascript:alert(1)"),
    ("next_action_url", "http://" + "x" * 5_000),
    ("decline", "no"),
)

#: A field of the notice, and what it must not hold.
_WRONG_NOTICE: tuple[tuple[str, Any], ...] = (
    ("id", "another"),
    ("id", None),
    ("type", "operation.deleted"),
    ("account", "somebody else"),
    ("account", None),
    ("created_at", "2026-01-01T00:00:00"),
    ("created_at", "0001-01-01T00:00:00+14:00"),
    ("created_at", "9999-12-31T23:59:59-14:00"),
    ("created_at", 1e300),
    ("created_at", -(10**18)),
    ("operation", None),
    ("operation", []),
    ("operation", {}),
    ("unknown", 1),
)

_HEADERS: tuple[tuple[str, str], ...] = (
    ("webhook-signature", ""),
    ("webhook-signature", "v1,"),
    ("webhook-signature", "v1,\xe9\xff"),
    ("webhook-signature", "v2,AAAA"),
    ("webhook-signature", "v1,AAAA" + " v1,AAAA" * 99),
    ("webhook-signature", "x" * 4_000),
    ("webhook-timestamp", ""),
    ("webhook-timestamp", "noon"),
    ("webhook-timestamp", "-1"),
    ("webhook-timestamp", "1e9"),
    ("webhook-timestamp", "9" * 300),
    ("webhook-timestamp", "\xb2\xb3"),
    ("webhook-id", ""),
    ("webhook-id", "evt_other"),
    ("webhook-id", "x" * 3_000),
)


def malformed_calls(
    context: TenantContext, operation: dict[str, Any], *, count: int, seed: int
) -> Iterator[Notice]:
    """`count` calls to the tenant's account; `operation` is what a genuine one would tell."""
    chance = random.Random(seed)
    made = _Maker(context, operation, chance)
    kinds: tuple[Callable[[], Notice], ...] = (
        made.edge,
        made.signed_edge,
        made.noise,
        made.signed_noise,
        made.flipped,
        made.cut,
        made.wrong_operation,
        made.wrong_notice,
        made.wrong_header,
        made.wrong_time,
    )
    return (make() for make in itertools.islice(itertools.cycle(kinds), count))


class _Maker:
    def __init__(
        self, context: TenantContext, operation: dict[str, Any], chance: random.Random
    ) -> None:
        self._context = context
        self._operation = operation
        self._chance = chance
        self._serial = itertools.count()

    def _id(self) -> str:
        return f"evt_bad_{next(self._serial)}"

    def _good(self) -> Notice:
        return notice(self._context, self._operation, event_id=self._id())

    def edge(self) -> Notice:
        """JSON at its edges, under the headers of a genuine call."""
        return Notice(self._good().headers, self._chance.choice(_EDGES))

    def signed_edge(self) -> Notice:
        """The same, signed."""
        return signed(self._id(), self._chance.choice(_EDGES))

    def noise(self) -> Notice:
        """Random bytes."""
        return Notice(self._good().headers, self._chance.randbytes(self._chance.randint(1, 2_000)))

    def signed_noise(self) -> Notice:
        """Random bytes, signed."""
        return signed(self._id(), self._chance.randbytes(self._chance.randint(1, 2_000)))

    def flipped(self) -> Notice:
        """One bit of a genuine body."""
        good = self._good()
        body = bytearray(good.body)
        body[self._chance.randrange(len(body))] ^= 1 << self._chance.randrange(8)
        return Notice(good.headers, bytes(body))

    def cut(self) -> Notice:
        """A genuine body that ends early, signed as it is."""
        good = self._good()
        body = good.body[: self._chance.randrange(len(good.body))]
        return signed(good.headers["webhook-id"], body)

    def wrong_operation(self) -> Notice:
        """Signed; one field of the operation is wrong."""
        name, value = self._chance.choice(_WRONG)
        told = {**self._operation, name: value}
        if (name, value) == ("decline", "no"):
            told["status"] = "declined"
        return self._told({"operation": told})

    def wrong_notice(self) -> Notice:
        """Signed; one field around the operation is wrong."""
        name, value = self._chance.choice(_WRONG_NOTICE)
        return self._told({name: value})

    def _told(self, changes: dict[str, Any]) -> Notice:
        event_id = self._id()
        plain = json.loads(notice(self._context, self._operation, event_id=event_id).body)
        return signed(event_id, json.dumps({**plain, **changes}).encode())

    def wrong_header(self) -> Notice:
        """A genuine call under a header that is not."""
        name, value = self._chance.choice(_HEADERS)
        good = self._good()
        return Notice(good.headers | {name: value}, good.body)

    def wrong_time(self) -> Notice:
        """Signed rightly, at a time that is past or yet to come."""
        good = self._good()
        off = self._chance.choice([-(10**9), -86_400, -400, 90, 3_600, 10**6])
        at = datetime.now(UTC) + timedelta(seconds=off)
        if self._chance.random() < 0.5:
            return signed(good.headers["webhook-id"], good.body, at=at)
        return self._told({"created_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()})
