"""What is kept of judgements beyond the first, and of scorers that are asked later?

`fraud_rescore` names the decisions that were made without what they needed: a trigger writes it, so
that no payment waits for it. `fraud_backfill` names the tenants whose rules want to know more of
the past than was kept, and how far the past has been brought up to that.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0020"
down_revision = "0019"

_STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE fraud_rescore (
        tenant_id  uuid NOT NULL,
        payment_id text COLLATE "C" NOT NULL,
        number     integer NOT NULL CHECK (number > 0),
        stage      text NOT NULL CHECK (stage IN ('pre_auth', 'post_auth')),
        due_at     timestamptz,
        tries      integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
        ended_at   timestamptz,
        verdict    text CHECK (verdict IN
            ('abstain', 'allow', 'review', 'challenge', 'block', 'allow_list', 'hard_block')),
        document   jsonb,
        PRIMARY KEY (tenant_id, payment_id, number, stage),
        FOREIGN KEY (tenant_id, payment_id, number, stage)
            REFERENCES fraud_decision (tenant_id, payment_id, number, stage)
    )
    """,
    "CREATE INDEX fraud_rescore_due ON fraud_rescore (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE fraud_backfill (
        tenant_id  uuid NOT NULL REFERENCES tenant (id),
        before_at  timestamptz NOT NULL,
        payment_id text COLLATE "C" NOT NULL,
        number     integer NOT NULL CHECK (number >= 0),
        done       integer NOT NULL DEFAULT 0 CHECK (done >= 0),
        due_at     timestamptz,
        PRIMARY KEY (tenant_id)
    )
    """,
    "CREATE INDEX fraud_backfill_due ON fraud_backfill (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE FUNCTION decision_is_rescored() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.degraded AND NEW.stage IN ('pre_auth', 'post_auth') THEN
            PERFORM set_config('app.tenant_id', NEW.tenant_id::text, true);
            INSERT INTO fraud_rescore (tenant_id, payment_id, number, stage, due_at)
            VALUES (NEW.tenant_id, NEW.payment_id, NEW.number, NEW.stage,
                    NEW.decided_at + interval '5 seconds');
        END IF;
        RETURN NULL;
    END $$
    """,
    # What it waits for is asked by the function: a WHEN is parsed anew by each statement.
    """
    CREATE TRIGGER decision_is_rescored AFTER INSERT ON fraud_decision
    FOR EACH ROW EXECUTE FUNCTION decision_is_rescored()
    """,
)

#: Table → what the app may do with it.
_APP_MAY: dict[str, str] = {
    "fraud_rescore": "SELECT, INSERT, UPDATE",
    "fraud_backfill": "SELECT, INSERT, UPDATE",
}
#: Table → what the worker sees of all tenants.
_WORKER_SEES: dict[str, str] = {
    "fraud_rescore": "tenant_id, payment_id, number, stage, due_at",
    "fraud_backfill": "tenant_id, due_at",
}


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in _STATEMENTS:
        op.execute(statement)
    for table, may in _APP_MAY.items():
        for statement in (
            *isolated(table, app_may=may),
            *seen_by_worker(table, _WORKER_SEES[table]),
        ):
            op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
