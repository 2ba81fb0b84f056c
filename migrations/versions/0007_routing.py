"""The tenants' routing policies, and whose vault a saved method rests in.

A policy's versions and their activations are added and never changed. A saved payment method may
say which gateway keeps it; where it does not, the gateway that charged it last is found by the
payments. Declines are found by the time of their operation.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated

revision = "0007"
down_revision = "0006"

_POLICY = """
    CREATE TABLE routing_policy (
        tenant_id  uuid NOT NULL REFERENCES tenant (id),
        id         text COLLATE "C" NOT NULL,
        version    integer NOT NULL CHECK (version > 0),
        document   jsonb NOT NULL,
        reason     text NOT NULL,
        actor      text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, version)
    )
"""

_ACTIVATION = """
    CREATE TABLE routing_activation (
        tenant_id  uuid NOT NULL REFERENCES tenant (id),
        id         text COLLATE "C" NOT NULL,
        number     integer NOT NULL CHECK (number > 0),
        policy_id  text COLLATE "C",  -- none: the default holds
        reason     text NOT NULL,
        actor      text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, number),
        FOREIGN KEY (tenant_id, policy_id) REFERENCES routing_policy (tenant_id, id)
    )
"""

_STATEMENTS = (
    _POLICY,
    _ACTIVATION,
    'ALTER TABLE payment_method ADD COLUMN gateway text COLLATE "C"',
    "CREATE INDEX payment_saved_method ON payment (tenant_id, saved_payment_method_id, id)"
    " WHERE saved_payment_method_id IS NOT NULL",
    "CREATE INDEX operation_declined ON operation (tenant_id, created_at)"
    " WHERE raw_code IS NOT NULL",
)


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in _STATEMENTS:
        op.execute(statement)
    for table in ("routing_policy", "routing_activation"):
        for statement in isolated(table, app_may="SELECT, INSERT"):
            op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
