"""What did a tenant's own payments look like, and what became known of them?

Each decision before an authorization keeps the context that it was made of. Names in it are the
tenant's own hashes, which learn as well as plain ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from payengine.context import TenantContext
from payengine.errors import InputInvalid
from payengine.fraud.replay.worlds import EPOCH, Row, World
from payengine.storage import Database

__all__ = ["read_history"]

_FIELDS = (
    "card",
    "customer",
    "device",
    "ip",
    "email",
    "seller",
    "issuer_range",
    "email_domain",
    "issuer_country",
    "ip_country",
    "billing_country",
    "ship_country",
)
_MOST_PAYMENTS = 2_000_000
_BATCH = 10_000
#: The past of each attempt by pages, with the label that stands.
_READ = """
    SELECT d.payment_id, d.number, d.document -> 'context' AS context,
        coalesce(e.declined, CASE WHEN p.authorized_minor > 0 THEN false
            WHEN p.status = 'DECLINED' THEN true END) AS declined,
        l.is_fraud, l.observed_at
    FROM fraud_decision d
    LEFT JOIN fraud_event e ON e.tenant_id = d.tenant_id
        AND e.payment_id = d.payment_id AND e.number = d.number
    LEFT JOIN payment p ON p.tenant_id = d.tenant_id AND p.id = d.payment_id
    LEFT JOIN fraud_label l ON l.tenant_id = d.tenant_id AND l.payment_id = d.payment_id
        AND l.number = d.number AND l.superseded_at IS NULL
    WHERE d.tenant_id = $1 AND d.stage = 'pre_auth' AND (d.payment_id, d.number) > ($2, $3)
    ORDER BY d.payment_id, d.number LIMIT $4
"""


async def read_history(database: Database, context: TenantContext) -> World:
    """The tenant's attempts in the order of time, of at most two million payments.

    Raises `PermissionDenied`, and `InputInvalid` where there are more.
    """
    context.require("fraud:read")
    rows: list[Row] = []
    after: tuple[str, int] = ("", 0)
    while True:
        async with database.tenant(context.tenant_id) as session:
            page = await session.fetch(_READ, context.tenant_id, *after, _BATCH)
        rows.extend(_row(one) for one in page)
        if len(rows) > _MOST_PAYMENTS:
            raise InputInvalid(f"There are more than {_MOST_PAYMENTS} payments.")
        if len(page) < _BATCH:
            break
        after = (page[-1]["payment_id"], page[-1]["number"])
    rows.sort(key=lambda row: row.at)
    return World(form="gateway", fields=_FIELDS, rows=rows)


def _row(one: Mapping[str, Any]) -> Row:
    said = one["context"]
    if isinstance(said, str | bytes):
        said = msgspec.json.decode(said)
    at = datetime.fromisoformat(said["as_of"])
    observed_at = one["observed_at"]
    return Row(
        "own",
        int((at - EPOCH).total_seconds()),
        f"{one['payment_id']}:{one['number']}",
        int(said["base_minor"]),
        tuple(said.get(name) for name in _FIELDS),
        said.get("account_age_days"),
        said.get("address_ok"),
        said.get("cvc_ok"),
        bool(one["declined"]),
        int(bool(one["is_fraud"])),
        None if observed_at is None else int(observed_at // 1_000_000 - EPOCH.timestamp()) + 1,
    )
