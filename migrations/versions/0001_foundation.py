"""The foundation: tables, roles, policies, grants and the guarded transitions.

The grants say in one place what each role may do. `app` is data under policies; `worker` sees
names and due times of all tenants, and no payload; `door` reads the directory alone.
"""

from __future__ import annotations

from pathlib import Path

from alembic import context, op
from payengine.storage.isolate import PARTS

revision = "0001"
down_revision = None

_TENANT_TABLES = (
    "api_key",
    "attempt",
    "customer",
    "data_key",
    "event",
    "event_stream",
    "evidence",
    "idempotency_key",
    "ledger_rollup",
    "ledger_tail",
    "ledger_transfer",
    "operation",
    "payment",
    "payment_method",
    "plugin_setting",
)
_APP_MAY_UPDATE = (
    "api_key",
    "customer",
    "ledger_rollup",
    "operation",
    "payment",
    "payment_method",
    "plugin_setting",
)
_WORKER_SEES = {
    "event": "tenant_id, id, seq, position",
    "ledger_tail": "tenant_id, transaction_id",
    "operation": "tenant_id, id, due_at",
    "payment": "tenant_id, id, status, hold_expires_at",
}
_SCOPE = "nullif(current_setting('app.tenant_id', true), '')::uuid"
#: Wrapped in a SELECT it is evaluated once by each statement, bare by each row: a batch's
#: statements pass from one tenant's scope to the next.
_CURRENT = f"(SELECT {_SCOPE})"
_BATCHED = ("customer", "idempotency_key", "operation", "payment")

#: A copy, as of this revision, of `payengine.payments.transitions`.
_OPERATION = {
    "created": ("sending", "not_sent", "canceled"),
    "sending": (
        "succeeded",
        "declined",
        "requires_action",
        "pending",
        "not_sent",
        "unknown",
    ),
    "unknown": ("succeeded", "declined", "requires_action", "pending", "not_sent", "canceled"),
    "pending": ("succeeded", "declined", "requires_action", "not_sent", "canceled", "expired"),
    "requires_action": ("succeeded", "declined", "pending", "not_sent", "canceled", "expired"),
    "declined": ("succeeded",),
    "not_sent": ("succeeded", "declined"),
    "canceled": ("succeeded",),
    "expired": ("succeeded",),
    "succeeded": (),
}
_PAYMENT = {
    "CREATED": ("PROCESSING", "IN_REVIEW", "DECLINED", "CANCELED", "AUTHORIZED", "CAPTURED"),
    "PROCESSING": (
        "CREATED",
        "REQUIRES_ACTION",
        "IN_REVIEW",
        "AUTHORIZED",
        "CAPTURED",
        "DECLINED",
        "CANCELED",
        "EXPIRED",
    ),
    "REQUIRES_ACTION": (
        "CREATED",
        "PROCESSING",
        "IN_REVIEW",
        "AUTHORIZED",
        "CAPTURED",
        "DECLINED",
        "CANCELED",
        "EXPIRED",
    ),
    "IN_REVIEW": ("PROCESSING", "AUTHORIZED", "CAPTURED", "DECLINED", "CANCELED", "EXPIRED"),
    "AUTHORIZED": ("CAPTURED", "CANCELED", "EXPIRED"),
    "DECLINED": ("PROCESSING", "CANCELED", "IN_REVIEW", "AUTHORIZED", "CAPTURED"),
    "CANCELED": ("PROCESSING", "IN_REVIEW", "AUTHORIZED", "CAPTURED"),
    "EXPIRED": ("IN_REVIEW", "AUTHORIZED", "CAPTURED"),
    "CAPTURED": (),
}


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    _create_roles()
    for statement in _statements(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")):
        op.execute(statement)
    _isolate()
    _grant()
    _guard("operation", _OPERATION)
    _guard("payment", _PAYMENT)
    _guard_holds()
    _batch()


def _statements(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip()]


def _create_roles() -> None:
    for role in ("payengine_app", "payengine_worker", "payengine_door"):
        op.execute(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN "
            f"CREATE ROLE {role} NOLOGIN NOINHERIT; END IF; END $$"
        )
        login = context.config.attributes["login_role"]
        op.execute(f'GRANT {role} TO "{login}"')
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")


def _isolate() -> None:
    for table in _TENANT_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        seen = _SCOPE if table in _BATCHED else _CURRENT
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} "
            f"USING (tenant_id = {seen}) WITH CHECK (tenant_id = {_SCOPE})"
        )
    for table, column in (("tenant", "id"), ("directory", "tenant_id")):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} "
            f"USING ({column} = {_CURRENT}) WITH CHECK ({column} = {_SCOPE})"
        )
    # The first sealed secret names the master key; no tenant can name another one afterwards.
    op.execute("ALTER TABLE installation ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY shared_read ON installation FOR SELECT USING (true)")
    op.execute(
        "CREATE POLICY app_names_master_key ON installation FOR UPDATE TO payengine_app "
        "USING (master_key_check IS NULL) WITH CHECK (master_key_check IS NOT NULL)"
    )


def _grant() -> None:
    for table in _TENANT_TABLES:
        op.execute(f"GRANT SELECT, INSERT ON {table} TO payengine_app")
    for table in _APP_MAY_UPDATE:
        op.execute(f"GRANT UPDATE ON {table} TO payengine_app")
    op.execute("GRANT SELECT, INSERT ON tenant TO payengine_app")
    op.execute("GRANT SELECT, INSERT, DELETE ON directory TO payengine_app")
    op.execute("GRANT DELETE ON ledger_tail TO payengine_app")
    # FOR UPDATE SKIP LOCKED asks for this; the policy lets tenant_id become nothing but itself.
    op.execute("GRANT UPDATE (tenant_id) ON ledger_tail TO payengine_app")
    op.execute("GRANT SELECT ON installation TO payengine_app, payengine_worker")
    op.execute("GRANT UPDATE (master_key_check) ON installation TO payengine_app")
    for table, columns in _WORKER_SEES.items():
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO payengine_worker")
        op.execute(
            f"CREATE POLICY worker_queue ON {table} FOR SELECT TO payengine_worker USING (true)"
        )
    op.execute("GRANT UPDATE (position) ON event TO payengine_worker")
    op.execute(
        "CREATE POLICY worker_publish ON event FOR UPDATE TO payengine_worker "
        "USING (position IS NULL) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON event_stream TO payengine_worker")
    op.execute(
        "CREATE POLICY worker_publish ON event_stream TO payengine_worker "
        "USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT (id, mode) ON tenant TO payengine_worker")
    op.execute("CREATE POLICY worker_list ON tenant FOR SELECT TO payengine_worker USING (true)")
    op.execute("GRANT SELECT ON directory TO payengine_door")
    op.execute("CREATE POLICY door_lookup ON directory FOR SELECT TO payengine_door USING (true)")


def _guard(table: str, allowed: dict[str, tuple[str, ...]]) -> None:
    # A constraint is parsed anew by each statement: one array is read in half the time of a list.
    op.execute(
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_status_known "
        f"CHECK (status = ANY ('{{{','.join(allowed)}}}'))"
    )
    pairs = ", ".join(f"'{old}>{new}'" for old, targets in allowed.items() for new in targets)
    # Whether anything moved is asked in the function: nearly always, and a trigger's WHEN is parsed
    # anew by each statement.
    op.execute(
        f"CREATE FUNCTION {table}_transition() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF OLD.status = NEW.status "
        f"OR (OLD.status || '>' || NEW.status) = ANY (ARRAY[{pairs}]) THEN RETURN NEW; END IF; "
        f"RAISE EXCEPTION '{table} transition refused: % > %', OLD.status, NEW.status "
        "USING ERRCODE = 'integrity_constraint_violation', "
        f"CONSTRAINT = '{table}_transition'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_transition BEFORE UPDATE OF status ON {table} FOR EACH ROW "
        f"EXECUTE FUNCTION {table}_transition()"
    )


def _guard_holds() -> None:
    """A pending transfer is posted up to its amount or voided whole, between its own accounts.

    A trigger that looks at rows sets its row's scope: a batch's statement has passed on by then.
    """
    op.execute(
        "CREATE FUNCTION ledger_transfer_fits_pending() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN PERFORM set_config('app.tenant_id', NEW.tenant_id::text, true); "
        "IF EXISTS (SELECT FROM ledger_transfer p WHERE p.tenant_id = NEW.tenant_id "
        "AND p.transaction_id = NEW.pending_transaction_id AND p.line = NEW.pending_line "
        "AND p.phase = 'pending' AND p.currency = NEW.currency "
        "AND p.debit_account = NEW.debit_account AND p.credit_account = NEW.credit_account "
        "AND (NEW.amount_minor = p.amount_minor "
        "OR NEW.phase = 'post' AND NEW.amount_minor < p.amount_minor)) THEN RETURN NULL; END IF; "
        "RAISE EXCEPTION 'the transfer does not fit the pending transfer that it ends' "
        "USING ERRCODE = 'integrity_constraint_violation', "
        "CONSTRAINT = 'ledger_transfer_fits_pending'; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_transfer_fits_pending AFTER INSERT ON ledger_transfer FOR EACH ROW "
        "WHEN (NEW.phase IN ('post', 'void')) EXECUTE FUNCTION ledger_transfer_fits_pending()"
    )


def _batch() -> None:
    """What writes many payments, or places events, by one message with the caller's rights."""
    script = Path(__file__).with_name("0001_batches.sql").read_text(encoding="utf-8")
    for body in script.split("END $$;")[:-1]:
        op.execute(f"{body}END $$".replace("{parts}", PARTS))
    functions = {
        "open_rows(jsonb)": "payengine_app",
        "open_payments(jsonb)": "payengine_app",
        "settle_payments(jsonb)": "payengine_app",
        "publish_events(integer)": "payengine_worker",
    }
    for function, role in functions.items():
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {role}")


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
