"""The tenants' learned models, and which of them judges.

A model's document never changes, and neither does what was promoted when, by whom and why: the
newest promotion holds, and one without a model goes back to the model that the plugin brings.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated

revision = "0013"
down_revision = "0012"

_MODEL = """
    CREATE TABLE fraud_model (
        tenant_id  uuid NOT NULL REFERENCES tenant (id),
        number     integer NOT NULL CHECK (number > 0),
        name       text NOT NULL,
        sha256     text COLLATE "C" NOT NULL,
        document   text NOT NULL,  -- canonical JSON, whose bytes the fingerprint is of
        seal       bytea NOT NULL,  -- the fingerprint, sealed by the tenant's own key
        metrics    jsonb NOT NULL,
        actor      text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, number)
    )
"""

_PROMOTION = """
    CREATE TABLE fraud_promotion (
        tenant_id    uuid NOT NULL REFERENCES tenant (id),
        number       integer NOT NULL CHECK (number > 0),
        model_number integer,  -- none: the model that the plugin brings
        kind         text NOT NULL CHECK (kind IN ('promoted', 'rolled_back')),
        verdict      jsonb NOT NULL,  -- what the gate said
        reason       text NOT NULL,
        actor        text NOT NULL,
        created_at   timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, number),
        FOREIGN KEY (tenant_id, model_number) REFERENCES fraud_model (tenant_id, number)
    )
"""


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in (
        _MODEL,
        _PROMOTION,
        *isolated("fraud_model", app_may="SELECT, INSERT"),
        *isolated("fraud_promotion", app_may="SELECT, INSERT"),
    ):
        op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
