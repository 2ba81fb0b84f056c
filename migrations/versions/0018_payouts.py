"""What is kept of payouts and of the rails that carry them?

A payout's money left the account's balance in the transaction that wrote its row. A batch is one
sending under one key, and its version is the lease of whoever talks to the rail about it. What a
rail or a person told is evidence, and stays.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0018"
down_revision = "0017"

_STATEMENTS: tuple[str, ...] = (
    # Where an account's money goes. What is sealed never changes: another bank account is another
    # row, so that what was sent can be sent again as it was.
    """
    CREATE TABLE payout_destination (
        tenant_id  uuid NOT NULL,
        id         text COLLATE "C" NOT NULL,
        account_id text COLLATE "C" NOT NULL,
        currency   text COLLATE "C" NOT NULL CHECK (length(currency) = 3),
        rail       text COLLATE "C" NOT NULL,
        kind       text COLLATE "C" NOT NULL,
        country    text COLLATE "C" NOT NULL,
        label      text NOT NULL,
        sealed     bytea NOT NULL,
        status     text COLLATE "C" NOT NULL
                   CHECK (status IN ('usable', 'requires_update', 'replaced')),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id)
    )
    """,
    """
    CREATE UNIQUE INDEX payout_destination_one ON payout_destination
        (tenant_id, account_id, currency) WHERE status <> 'replaced'
    """,
    """
    CREATE TABLE payout_batch (
        tenant_id    uuid NOT NULL,
        id           text COLLATE "C" NOT NULL,
        rail         text COLLATE "C" NOT NULL,
        currency     text COLLATE "C" NOT NULL CHECK (length(currency) = 3),
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        payouts      bigint NOT NULL CHECK (payouts > 0),
        status       text COLLATE "C" NOT NULL
                     CHECK (status IN ('unsent', 'sending', 'unknown', 'sent', 'ended')),
        tries        bigint NOT NULL DEFAULT 0,
        due_at       timestamptz,
        created_at   timestamptz NOT NULL,
        sent_at      timestamptz NOT NULL,
        version      bigint NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id)
    )
    """,
    "CREATE INDEX payout_batch_due ON payout_batch (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE payout (
        tenant_id          uuid NOT NULL,
        id                 text COLLATE "C" NOT NULL,
        account_id         text COLLATE "C" NOT NULL,
        destination_id     text COLLATE "C" NOT NULL,
        amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
        fee_minor          bigint NOT NULL DEFAULT 0 CHECK (fee_minor >= 0),
        currency           text COLLATE "C" NOT NULL CHECK (length(currency) = 3),
        status             text COLLATE "C" NOT NULL CHECK (status IN (
            'pending', 'held', 'sending', 'unknown', 'in_transit', 'paid', 'failed', 'returned',
            'canceled')),
        origin             text COLLATE "C" NOT NULL CHECK (origin IN ('manual', 'schedule')),
        rail               text COLLATE "C" NOT NULL,
        paid_from          text COLLATE "C" NOT NULL,
        statement          text NOT NULL,
        batch_id           text COLLATE "C",
        held_because       text COLLATE "C",
        failure_code       text COLLATE "C",
        failure_text       text,
        provider_reference text COLLATE "C",
        screened           boolean NOT NULL DEFAULT false,
        needs_review       boolean NOT NULL DEFAULT false,
        due_at             timestamptz,
        created_at         timestamptz NOT NULL,
        updated_at         timestamptz NOT NULL,
        sent_at            timestamptz,
        ended_at           timestamptz,
        version            bigint NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id),
        FOREIGN KEY (tenant_id, destination_id) REFERENCES payout_destination (tenant_id, id),
        FOREIGN KEY (tenant_id, batch_id) REFERENCES payout_batch (tenant_id, id),
        -- Nothing is on its way outside a batch.
        CONSTRAINT payout_batched CHECK (
            batch_id IS NOT NULL OR status IN ('pending', 'held', 'canceled')),
        CONSTRAINT payout_due CHECK (due_at IS NULL OR status = 'pending')
    )
    """,
    "CREATE INDEX payout_account ON payout (tenant_id, account_id, id)",
    "CREATE INDEX payout_of_batch ON payout (tenant_id, batch_id) WHERE batch_id IS NOT NULL",
    "CREATE INDEX payout_waiting ON payout (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX payout_review ON payout (tenant_id, id) WHERE needs_review",
    """
    CREATE TABLE payout_evidence (
        tenant_id          uuid NOT NULL,
        id                 text COLLATE "C" NOT NULL,
        payout_id          text COLLATE "C" NOT NULL,
        source             text COLLATE "C" NOT NULL
                           CHECK (source IN ('answer', 'resend', 'lookup', 'person')),
        finding            text COLLATE "C" NOT NULL CHECK (finding IN (
            'accepted', 'paid', 'failed', 'returned', 'not_found', 'not_sent', 'unknown')),
        raw_code           text COLLATE "C",
        detail             text NOT NULL,
        provider_reference text COLLATE "C",
        actor              text NOT NULL,
        created_at         timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, payout_id) REFERENCES payout (tenant_id, id)
    )
    """,
    "CREATE INDEX payout_evidence_of ON payout_evidence (tenant_id, payout_id, id)",
    """
    CREATE TABLE payout_schedule (
        tenant_id     uuid NOT NULL,
        id            text COLLATE "C" NOT NULL,
        account_id    text COLLATE "C" NOT NULL,
        currency      text COLLATE "C" NOT NULL CHECK (length(currency) = 3),
        cadence       text COLLATE "C" NOT NULL
                      CHECK (cadence IN ('daily', 'weekly', 'monthly', 'manual')),
        weekday       text COLLATE "C" NOT NULL CHECK (weekday IN (
            'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday')),
        anchor_day    bigint NOT NULL CHECK (anchor_day BETWEEN 1 AND 31),
        minimum_minor bigint NOT NULL CHECK (minimum_minor >= 0),
        fee_minor     bigint NOT NULL DEFAULT 0 CHECK (fee_minor >= 0),
        zone          text COLLATE "C" NOT NULL,
        due_at        timestamptz,
        tries         integer NOT NULL DEFAULT 0,
        retry_at      timestamptz,
        last_outcome  text COLLATE "C",
        last_run_at   timestamptz,
        created_at    timestamptz NOT NULL,
        updated_at    timestamptz NOT NULL,
        version       bigint NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT payout_schedule_one UNIQUE (tenant_id, account_id, currency),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id)
    )
    """,
    "CREATE INDEX payout_schedule_due ON payout_schedule (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE payout_hold (
        tenant_id      uuid NOT NULL,
        id             text COLLATE "C" NOT NULL,
        account_id     text COLLATE "C" NOT NULL,
        reason         text NOT NULL,
        placed_by      text NOT NULL,
        created_at     timestamptz NOT NULL,
        released_by    text,
        release_reason text,
        released_at    timestamptz,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id)
    )
    """,
    """
    CREATE INDEX payout_hold_standing ON payout_hold (tenant_id, account_id)
        WHERE released_at IS NULL
    """,
)

#: Table → what the app may do with it.
_APP_MAY: dict[str, str] = {
    "payout_destination": "SELECT, INSERT, UPDATE",
    "payout_batch": "SELECT, INSERT, UPDATE",
    "payout": "SELECT, INSERT, UPDATE",
    "payout_evidence": "SELECT, INSERT",
    "payout_schedule": "SELECT, INSERT, UPDATE",
    "payout_hold": "SELECT, INSERT, UPDATE",
}

#: What the poller must know of every tenant's rows.
_QUEUES: dict[str, str] = {
    "payout": "tenant_id, id, due_at",
    "payout_batch": "tenant_id, id, due_at",
    "payout_schedule": "tenant_id, id, due_at, retry_at",
}


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in _STATEMENTS:
        op.execute(statement)
    for table, may in _APP_MAY.items():
        for statement in isolated(table, app_may=may):
            op.execute(statement)
    for table, columns in _QUEUES.items():
        for statement in seen_by_worker(table, columns):
            op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
