"""Which tables are nobody's own, and what may each role see beyond its tenant?

Closed lists. A table that is not in `SHARED_TABLES` belongs to tenants and is held to every rule
of `payengine.storage.lint`; a policy or a column for another role is added here on purpose.
"""

from __future__ import annotations

__all__ = [
    "BATCHED_TABLES",
    "EXTRA_POLICIES",
    "QUEUE_TABLES",
    "ROLES",
    "SHARED_GRANTS",
    "SHARED_TABLES",
    "WORKER_TEXTS",
]

#: The roles that serve, from the widest to the narrowest. None owns or bypasses anything.
ROLES = ("payengine_app", "payengine_worker", "payengine_door")

#: Shared table → the column that its isolation policy compares, or None where it has no tenant.
SHARED_TABLES: dict[str, str | None] = {
    "alembic_version": None,
    "directory": "tenant_id",
    "installation": None,
    "pgqueuer": "tenant_id",
    "pgqueuer_log": None,
    "pgqueuer_schedules": None,
    "pgqueuer_statistics": None,
    "tenant": "id",
}

#: Of these, the queue's, whose shape is pgqueuer's: its enumeration, its defaults from the
#: database's clock (a queue lives on wall time) and its keys, of which the one that two tenants
#: could share is a hash with the tenant in it. They carry names of rows and no payload.
#: The worker may read and write every column of them; the app has the grants below.
QUEUE_TABLES = frozenset({"pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics"})

#: What the app role may do with a shared table; column grants are written `UPDATE(column)`.
SHARED_GRANTS: dict[str, frozenset[str]] = {
    "directory": frozenset({"SELECT", "INSERT", "DELETE"}),
    "installation": frozenset({"SELECT", "UPDATE(master_key_check)"}),
    "pgqueuer": frozenset(
        {
            "INSERT(dedupe_key)",
            "INSERT(entrypoint)",
            "INSERT(execute_after)",
            "INSERT(payload)",
            "INSERT(priority)",
            "INSERT(status)",
            "INSERT(tenant_id)",
            "SELECT(id)",
            "SELECT(queue_manager_id)",
            "SELECT(status)",
            "SELECT(tenant_id)",
            "UPDATE(heartbeat)",
        }
    ),
    "tenant": frozenset({"SELECT", "INSERT"}),
}

#: What statements read or change that pass from one tenant's scope to the next: their policies
#: compare each row with the scope that holds then.
BATCHED_TABLES = frozenset(
    {
        "customer",
        "fraud_decision",
        "fraud_event",
        "fraud_label",
        "fraud_list_key",
        "idempotency_key",
        "operation",
        "payment",
    }
)

#: (table, policy) → (command, role) of every policy beside `tenant_isolation`. Commands are
#: PostgreSQL's letters: r SELECT, a INSERT, w UPDATE, d DELETE, * all.
EXTRA_POLICIES: dict[tuple[str, str], tuple[str, str]] = {
    ("collection", "worker_queue"): ("r", "payengine_worker"),
    ("collection_charge", "worker_queue"): ("r", "payengine_worker"),
    ("credit_note", "worker_queue"): ("r", "payengine_worker"),
    ("directory", "door_lookup"): ("r", "payengine_door"),
    ("dispute", "worker_queue"): ("r", "payengine_worker"),
    ("dispute_step", "worker_queue"): ("r", "payengine_worker"),
    ("escrow_hold", "worker_queue"): ("r", "payengine_worker"),
    ("event", "worker_publish"): ("w", "payengine_worker"),
    ("event", "worker_queue"): ("r", "payengine_worker"),
    ("event_stream", "worker_publish"): ("*", "payengine_worker"),
    ("fraud_backfill", "worker_queue"): ("r", "payengine_worker"),
    ("fraud_rescore", "worker_queue"): ("r", "payengine_worker"),
    ("fraud_watch", "worker_queue"): ("r", "payengine_worker"),
    ("installation", "app_names_master_key"): ("w", "payengine_app"),
    ("installation", "shared_read"): ("r", "public"),
    ("ledger_tail", "worker_queue"): ("r", "payengine_worker"),
    ("notice", "worker_queue"): ("r", "payengine_worker"),
    ("operation", "worker_queue"): ("r", "payengine_worker"),
    ("payment", "worker_queue"): ("r", "payengine_worker"),
    ("payment_split", "worker_queue"): ("r", "payengine_worker"),
    ("payout", "worker_queue"): ("r", "payengine_worker"),
    ("payout_batch", "worker_queue"): ("r", "payengine_worker"),
    ("payout_schedule", "worker_queue"): ("r", "payengine_worker"),
    ("pgqueuer", "worker_queue"): ("*", "payengine_worker"),
    ("received_webhook", "worker_queue"): ("r", "payengine_worker"),
    ("reserve_hold", "worker_queue"): ("r", "payengine_worker"),
    ("review", "worker_queue"): ("r", "payengine_worker"),
    ("split_cursor", "worker_queue"): ("r", "payengine_worker"),
    ("subscription", "worker_queue"): ("r", "payengine_worker"),
    ("tenant", "worker_list"): ("r", "payengine_worker"),
    ("test_clock", "worker_queue"): ("r", "payengine_worker"),
    ("webhook_endpoint", "worker_queue"): ("r", "payengine_worker"),
}

#: Texts that carry no payload, so that the worker may read them of all tenants.
WORKER_TEXTS = frozenset(
    {
        ("collection", "invoice_id"),
        ("collection_charge", "invoice_id"),
        ("credit_note", "id"),
        ("dispute", "id"),
        ("dispute_step", "id"),
        ("escrow_hold", "id"),
        ("escrow_hold", "status"),
        ("event", "id"),
        ("fraud_rescore", "payment_id"),
        ("fraud_rescore", "stage"),
        ("installation", "fingerprint"),
        ("installation", "master_key_check"),
        ("ledger_tail", "transaction_id"),
        ("notice", "id"),
        ("operation", "id"),
        ("payment", "id"),
        ("payment", "status"),
        ("payment_split", "payment_id"),
        ("payout", "id"),
        ("payout_batch", "id"),
        ("payout_schedule", "id"),
        ("received_webhook", "id"),
        ("reserve_hold", "id"),
        ("review", "id"),
        ("subscription", "id"),
        ("tenant", "mode"),
        ("webhook_endpoint", "id"),
        ("webhook_endpoint", "status"),
    }
)
