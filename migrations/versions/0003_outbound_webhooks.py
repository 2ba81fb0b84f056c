"""The tenants' endpoints and what they have been told.

An endpoint is a reader of its tenant's event log: `position` is the last event that it is done
with. Whoever raises `fence` holds the endpoint until `leased_until`; `version` counts what the
tenant changed. A delivery is one event and what became of it, over one or more attempts.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0003"
down_revision = "0002"

_ENDPOINT = """
    CREATE TABLE webhook_endpoint (
        tenant_id       uuid NOT NULL REFERENCES tenant (id),
        id              text COLLATE "C" NOT NULL,
        url             text NOT NULL CHECK (length(url) <= 2000),
        description     text NOT NULL DEFAULT '',
        event_types     text[] NOT NULL,
        status          text NOT NULL CHECK (status IN ('enabled', 'disabled', 'deleted')),
        disabled_reason text CHECK (disabled_reason IN ('tenant', 'exhausted', 'gone')),
        disabled_at     timestamptz,
        epoch           bigint NOT NULL,
        position        bigint NOT NULL CHECK (position >= 0),
        tries           integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
        first_tried_at  timestamptz,
        retry_at        timestamptz,
        redeliver_at    timestamptz,
        fence           bigint NOT NULL DEFAULT 0,
        leased_until    timestamptz,
        served_at       timestamptz,
        version         integer NOT NULL DEFAULT 1,
        created_at      timestamptz NOT NULL,
        updated_at      timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id)
    ) WITH (fillfactor = 70)
"""

#: A secret signs until it expires; rotating it keeps the one before for a while.
_SECRETS = """
    CREATE TABLE webhook_secret (
        tenant_id   uuid NOT NULL,
        id          text COLLATE "C" NOT NULL,
        endpoint_id text COLLATE "C" NOT NULL,
        sealed      bytea NOT NULL,
        last_four   text NOT NULL,
        created_at  timestamptz NOT NULL,
        expires_at  timestamptz,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint (tenant_id, id)
    )
"""

_DELIVERY = """
    CREATE TABLE webhook_delivery (
        tenant_id       uuid NOT NULL,
        id              text COLLATE "C" NOT NULL,
        endpoint_id     text COLLATE "C" NOT NULL,
        event_id        text COLLATE "C" NOT NULL,
        event_type      text COLLATE "C" NOT NULL,
        position        bigint,  -- none for a test, which is no event of the log
        status          text NOT NULL CHECK (status IN
                        ('pending', 'retrying', 'delivered', 'failed', 'exhausted', 'skipped')),
        tries           integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
        next_attempt_at timestamptz,
        delivered_at    timestamptz,
        created_at      timestamptz NOT NULL,
        updated_at      timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, endpoint_id, event_id),
        FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint (tenant_id, id)
    )
"""

_ATTEMPT = """
    CREATE TABLE webhook_attempt (
        tenant_id   uuid NOT NULL,
        delivery_id text COLLATE "C" NOT NULL,
        number      integer NOT NULL CHECK (number > 0),
        reason      text NOT NULL CHECK (reason IN ('event', 'redelivery', 'test')),
        status_code integer,
        error       text,
        response    text,
        latency_ms  integer NOT NULL CHECK (latency_ms >= 0),
        created_at  timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, delivery_id, number),
        FOREIGN KEY (tenant_id, delivery_id) REFERENCES webhook_delivery (tenant_id, id)
            ON DELETE CASCADE
    )
"""

#: Events that are sent once more because somebody asked for it: behind `position`, up to
#: `until_position`, none that occurred before `since`.
_REDELIVERY = """
    CREATE TABLE webhook_redelivery (
        tenant_id      uuid NOT NULL,
        id             text COLLATE "C" NOT NULL,
        endpoint_id    text COLLATE "C" NOT NULL,
        event_id       text COLLATE "C",
        since          timestamptz,
        position       bigint NOT NULL CHECK (position >= 0),
        until_position bigint NOT NULL CHECK (until_position >= 0),
        status         text NOT NULL CHECK (status IN ('open', 'done', 'exhausted')),
        delivered      integer NOT NULL DEFAULT 0 CHECK (delivered >= 0),
        tries          integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
        first_tried_at timestamptz,
        created_at     timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint (tenant_id, id)
    )
"""

_INDEXES = (
    "CREATE INDEX webhook_endpoint_enabled ON webhook_endpoint (tenant_id, id)"
    " WHERE status = 'enabled'",
    "CREATE INDEX webhook_secret_endpoint ON webhook_secret (tenant_id, endpoint_id, id)",
    "CREATE INDEX webhook_delivery_endpoint ON webhook_delivery (tenant_id, endpoint_id, id)",
    "CREATE INDEX webhook_redelivery_open ON webhook_redelivery (tenant_id, endpoint_id, id)"
    " WHERE status = 'open'",
)


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in (_ENDPOINT, _SECRETS, _DELIVERY, _ATTEMPT, _REDELIVERY, *_INDEXES):
        op.execute(statement)
    statements = [
        *isolated("webhook_endpoint"),
        *isolated("webhook_secret"),
        *isolated("webhook_delivery", app_may="SELECT, INSERT, UPDATE, DELETE"),
        *isolated("webhook_attempt", app_may="SELECT, INSERT"),
        *isolated("webhook_redelivery", app_may="SELECT, INSERT, UPDATE, DELETE"),
        *seen_by_worker(
            "webhook_endpoint",
            "tenant_id, id, status, position, retry_at, redeliver_at, leased_until, served_at",
        ),
    ]
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
