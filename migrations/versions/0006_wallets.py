"""The wallets' tokens that were used: each pays once in a tenant's world.

A token is known by a hash of its own name alone; nothing of what it held is kept.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated

revision = "0006"
down_revision = "0005"

_TABLE = """
    CREATE TABLE wallet_token (
        tenant_id  uuid NOT NULL,
        wallet     text COLLATE "C" NOT NULL,
        hash       bytea NOT NULL,
        payment_id text COLLATE "C" NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, wallet, hash),
        FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id)
    )
"""


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    op.execute(_TABLE)
    for statement in isolated("wallet_token", app_may="SELECT, INSERT"):
        op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
