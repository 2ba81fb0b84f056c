"""The providers' calls, as they came and what became of them.

`webhook_request` keeps each call sealed until it is forgotten; `received_webhook` holds the
verified facts in it, one row each, unique by (tenant, plugin, the event id). A gateway endpoint
is an address of one tenant's; at most two of a gateway are live, for rotation.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0002"
down_revision = "0001"

_ENDPOINT = """
    CREATE TABLE gateway_endpoint (
        tenant_id  uuid NOT NULL REFERENCES tenant (id),
        id         text COLLATE "C" NOT NULL,
        plugin     text COLLATE "C" NOT NULL,
        gateway    text COLLATE "C" NOT NULL,
        slot       smallint NOT NULL CHECK (slot IN (1, 2)),
        last_four  text NOT NULL,
        created_at timestamptz NOT NULL,
        revoked_at timestamptz,
        PRIMARY KEY (tenant_id, id)
    )
"""

_REQUEST = """
    CREATE TABLE webhook_request (
        tenant_id   uuid NOT NULL,
        id          text COLLATE "C" NOT NULL,
        endpoint_id text COLLATE "C" NOT NULL,
        sealed      bytea NOT NULL,
        redacted    boolean NOT NULL,
        received_at timestamptz NOT NULL,
        forgotten_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, endpoint_id) REFERENCES gateway_endpoint (tenant_id, id)
    )
"""

_RECEIVED = """
    CREATE TABLE received_webhook (
        tenant_id    uuid NOT NULL,
        id           text COLLATE "C" NOT NULL,
        request_id   text COLLATE "C" NOT NULL,
        plugin       text COLLATE "C" NOT NULL,
        gateway      text COLLATE "C" NOT NULL,
        event_id     text COLLATE "C" NOT NULL,
        kind         text NOT NULL CHECK (kind IN
            ('authorize', 'increment', 'capture', 'void', 'refund', 'dispute')),
        said         text NOT NULL,
        data         jsonb NOT NULL,
        state        text NOT NULL CHECK (state IN
            ('pending', 'applied', 'stale', 'unmatched', 'held')),
        problem      text,
        needs_review boolean NOT NULL DEFAULT false,
        payment_id   text COLLATE "C",
        operation_id text COLLATE "C",
        occurred_at  timestamptz NOT NULL,
        received_at  timestamptz NOT NULL,
        settled_at   timestamptz,
        due_at       timestamptz,
        tries        integer NOT NULL DEFAULT 0,
        failures     integer NOT NULL DEFAULT 0,
        version      integer NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, request_id) REFERENCES webhook_request (tenant_id, id),
        FOREIGN KEY (tenant_id, operation_id) REFERENCES operation (tenant_id, id)
    )
"""

_INDEXES = (
    "CREATE UNIQUE INDEX gateway_endpoint_live ON gateway_endpoint (tenant_id, gateway, slot)"
    " WHERE revoked_at IS NULL",
    "CREATE INDEX webhook_request_kept ON webhook_request (tenant_id, id)"
    " WHERE forgotten_at IS NULL",
    "CREATE UNIQUE INDEX received_webhook_once ON received_webhook (tenant_id, plugin, event_id)",
    "CREATE INDEX received_webhook_due ON received_webhook (tenant_id, due_at, id)"
    " WHERE due_at IS NOT NULL",
    "CREATE INDEX received_webhook_operation ON received_webhook (tenant_id, operation_id)"
    " WHERE operation_id IS NOT NULL",
    "CREATE INDEX received_webhook_review ON received_webhook (tenant_id, id) WHERE needs_review",
    # A provider that does not send our key back names its own reference.
    "CREATE INDEX operation_reference ON operation (tenant_id, provider_reference)"
    " WHERE provider_reference IS NOT NULL",
)


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in (_ENDPOINT, _REQUEST, _RECEIVED, *_INDEXES):
        op.execute(statement)
    for statement in (
        *isolated("gateway_endpoint"),
        *isolated("webhook_request", app_may="SELECT, INSERT"),
        *isolated("received_webhook"),
        "GRANT UPDATE (sealed, forgotten_at) ON webhook_request TO payengine_app",
        *seen_by_worker("received_webhook", "tenant_id, id, due_at"),
    ):
        op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
