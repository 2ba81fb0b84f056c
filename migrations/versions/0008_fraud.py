"""The fraud engine's past, decisions, labels and rules.

Every attempt to pay leaves a row that names whom it concerned, by hashes; what the issuer said is
written there by a trigger, so that no way of ending an attempt can forget it. One function reads
the newest payments of all the entities of a batch; where an entity has more than are shown, another
one counts them, for each kind of entity one of its own, because a plan that is made once serves one
index.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op
from payengine.storage.isolate import PARTS, isolated

revision = "0008"
down_revision = "0007"

_KINDS = ("card", "customer", "device", "email", "ip", "issuer_range", "seller")

#: Table → what the app may do with it.
_APP_MAY = {
    "fraud_decision": "SELECT, INSERT, UPDATE",
    "fraud_event": "SELECT, INSERT, UPDATE, DELETE",
    "fraud_key": "SELECT, INSERT",
    "fraud_label": "SELECT, INSERT, UPDATE",
    "fraud_rule": "SELECT, INSERT",
}

_BATCHED = ("fraud_decision", "fraud_event", "fraud_label")

#: The newest payments of each {kind} of a batch, and what is known of them.
_EVENTS = """IF wanted ? '{kind}' THEN RETURN QUERY
        SELECT 'e'::"char", a.q, r.at, r.base_minor, r.declined, r.facts
        FROM {parts}, jsonb_to_recordset(part -> '{kind}')
            AS a (q integer, v text, s bigint, n integer, f boolean)
        CROSS JOIN LATERAL (
            SELECT e.at, e.base_minor, e.declined, CASE WHEN a.f THEN ARRAY[{facts}] END AS facts
            FROM fraud_event e
            WHERE e.tenant_id = scope::uuid AND e.{kind} = a.v AND e.at >= a.s
            ORDER BY e.at DESC LIMIT a.n
        ) r;
    END IF;"""
_LABELS = """SELECT 'l'::"char", a.q, r.observed_at, r.at, r.is_fraud,
            ARRAY[r.payment_id, r.number::text, r.superseded_at::text]
        FROM {parts}, jsonb_to_recordset(part -> 'labels')
            AS a (q integer, k text, v text, s bigint, n integer)
        CROSS JOIN LATERAL (
            SELECT l.* FROM fraud_label l
            WHERE a.k = '{kind}' AND l.tenant_id = scope::uuid AND l.{kind} = a.v
              AND l.observed_at >= a.s
            ORDER BY l.observed_at DESC LIMIT a.n
        ) r"""
_FIRST = """WHEN '{kind}' THEN (SELECT min(e.at) FROM fraud_event e
            WHERE e.tenant_id = scope::uuid AND e.{kind} = a.v)"""
_CROWDED = """IF kind = '{kind}' THEN
        RETURN fraud_past_{kind}(tenant::uuid, one, as_of, (plan ->> 'windows')::fraud_window[],
            (plan ->> 'others')::fraud_window[], (plan ->> 'spans')::bigint[],
            (plan ->> 'ends')::boolean);
    END IF;"""
#: In the order in which `payengine.fraud.plan.FACTS` lists them.
_FACTS = (
    *_KINDS,
    "billing_country",
    "currency",
    "email_domain",
    "ip_country",
    "issuer_country",
    "method_kind",
    "ship_country",
)


def _function(body: str) -> str:
    facts = ", ".join(f"e.{name}" for name in _FACTS)
    parts = {
        "{events}": "\n    ".join(
            _EVENTS.format(kind=kind, facts=facts, parts="{parts}") for kind in _KINDS
        ),
        "{labels}": "\n        UNION ALL ".join(
            _LABELS.format(kind=kind, parts="{parts}") for kind in _KINDS
        ),
        "{firsts}": "\n            ".join(_FIRST.format(kind=kind) for kind in _KINDS),
        "{crowded}": "\n    ".join(_CROWDED.format(kind=kind) for kind in _KINDS),
        "{parts}": PARTS,
    }
    for name, text in parts.items():
        body = body.replace(name, text)
    return body


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    for part in script.split("-- @@ "):
        head, _, body = part.partition("\n")
        for statement in _statements(head.strip(), body):
            op.execute(statement)
    for kind in _KINDS:
        for table, instant in (("fraud_event", "at"), ("fraud_label", "observed_at")):
            op.execute(
                f"CREATE INDEX {table}_{kind} ON {table} (tenant_id, {kind}, {instant})"
                f" WHERE {kind} IS NOT NULL"
            )
    for table, may in _APP_MAY.items():
        for statement in isolated(table, app_may=may, batched=table in _BATCHED):
            op.execute(statement)


def _statements(head: str, body: str) -> list[str]:
    """A part of the script: plain statements, one function, or one function for each kind."""
    if head == "function":
        return [_function(body)]
    if head == "each kind":
        return [body.replace("{kind}", kind) for kind in _KINDS]
    lines = [line for line in body.splitlines() if not line.startswith("--")]
    return [one for one in "\n".join(lines).split(";\n") if one.strip()]


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
