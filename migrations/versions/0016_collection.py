"""What is kept of invoices in collection, notices to customers, and entitlements?

An invoice in collection is one row: the state of the machine, and when time alone does something to
it next. Each of its charges is a row of its own, whose request is written down before it is sent
and never changes: whoever sends it again sends the same. `due_at` is the tenant's own time;
`look_at`, `lease_until` and a notice's `due_at` are the wall's.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0016"
down_revision = "0015"

_COLLECTION = """
    CREATE TABLE collection (
        tenant_id       uuid NOT NULL,
        invoice_id      text COLLATE "C" NOT NULL,
        subscription_id text COLLATE "C",
        customer_id     text COLLATE "C" NOT NULL,
        state           jsonb NOT NULL,
        phase           text NOT NULL CHECK (phase IN ('charging', 'unknown', 'retrying',
            'scheduled', 'waiting', 'settled', 'given_up', 'canceled', 'expired')),
        due_at          timestamptz,
        lease_until     timestamptz,
        fence           bigint NOT NULL,  -- rises with each lease; who holds an older one is late
        version         bigint NOT NULL,
        created_at      timestamptz NOT NULL,
        updated_at      timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, invoice_id),
        -- It is begun before its invoice is written, whose number is taken last.
        FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoice (tenant_id, id)
            DEFERRABLE INITIALLY DEFERRED
        -- None to the subscription, which the invoice refers to: its check would lock that row
        -- behind this one, against the order in which all others lock them.
    )
"""

#: `attempt` counts the failures that counted before this charge: 0 for the first one.
_CHARGE = """
    CREATE TABLE collection_charge (
        tenant_id         uuid NOT NULL,
        invoice_id        text COLLATE "C" NOT NULL,
        charge            integer NOT NULL CHECK (charge >= 0),
        trigger           text NOT NULL,
        attempt           integer NOT NULL CHECK (attempt >= 0),
        asked_method_id   text COLLATE "C",  -- none: the customer's default, found when it is sent
        avoid_gateways    text[] NOT NULL,
        return_url        text,  -- where the customer comes back to; none: nobody is there
        payment_method_id text COLLATE "C",
        network           text,
        request           jsonb,
        payment_id        text COLLATE "C",
        amount_minor      bigint CHECK (amount_minor > 0),
        currency          text,
        outcome           text CHECK (outcome IN (
            'succeeded', 'declined', 'failed', 'held', 'canceled')),
        decline_code      text,
        decline_class     text,
        gateway           text,
        look_at           timestamptz,
        looks             integer NOT NULL,
        made_at           timestamptz NOT NULL,
        answered_at       timestamptz,
        PRIMARY KEY (tenant_id, invoice_id, charge),
        FOREIGN KEY (tenant_id, invoice_id) REFERENCES collection (tenant_id, invoice_id)
    )
"""

#: One for each thing that is to be told, however often it is sent. `told` names the notifiers that
#: have taken it.
_NOTICE = """
    CREATE TABLE notice (
        tenant_id   uuid NOT NULL,
        id          text COLLATE "C" NOT NULL,
        invoice_id  text COLLATE "C" NOT NULL,
        charge      integer NOT NULL CHECK (charge >= 0),
        kind        text NOT NULL CHECK (kind IN (
            'payment_failed', 'payment_recovered', 'subscription_canceled')),
        customer_id text COLLATE "C" NOT NULL,
        ask         text,
        status      text NOT NULL CHECK (status IN ('waiting', 'sent', 'dropped', 'given_up')),
        told        text[] NOT NULL,
        tries       integer NOT NULL CHECK (tries >= 0),
        problem     text,
        due_at      timestamptz,
        version     bigint NOT NULL,
        created_at  timestamptz NOT NULL,
        sent_at     timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, invoice_id, charge, kind),
        FOREIGN KEY (tenant_id, invoice_id) REFERENCES collection (tenant_id, invoice_id)
    )
"""

#: With what the links of recovery pages are signed.
_KEY = """
    CREATE TABLE recovery_key (
        tenant_id  uuid NOT NULL,
        sealed     bytea NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id)
    )
"""

#: What was last told of a customer: the next change is told as the way from here.
_ENTITLEMENT = """
    CREATE TABLE entitlement (
        tenant_id   uuid NOT NULL,
        customer_id text COLLATE "C" NOT NULL,
        features    jsonb NOT NULL,
        version     bigint NOT NULL,
        updated_at  timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, customer_id),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id)
    )
"""

_STATEMENTS = (
    _COLLECTION,
    "CREATE INDEX collection_due ON collection (due_at, tenant_id, invoice_id) "
    "WHERE due_at IS NOT NULL",
    "CREATE INDEX collection_due_of ON collection (tenant_id, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX collection_of_subscription ON collection (tenant_id, subscription_id, invoice_id)"
    " WHERE subscription_id IS NOT NULL",
    _CHARGE,
    "CREATE INDEX collection_charge_look ON collection_charge (look_at) WHERE look_at IS NOT NULL",
    "CREATE INDEX collection_charge_declined ON collection_charge "
    "(tenant_id, payment_method_id, answered_at) WHERE outcome = 'declined'",
    "CREATE INDEX collection_charge_made ON collection_charge (tenant_id, made_at)",
    _NOTICE,
    "CREATE INDEX notice_due ON notice (due_at) WHERE due_at IS NOT NULL",
    _KEY,
    _ENTITLEMENT,
    # Of whose network the card is: networks limit how often a refused one may be presented.
    "ALTER TABLE payment_method ADD COLUMN network text",
)

#: Table → what the app may do with it.
_APP_MAY = {
    "collection": "SELECT, INSERT, UPDATE",
    "collection_charge": "SELECT, INSERT, UPDATE",
    "notice": "SELECT, INSERT, UPDATE",
    "recovery_key": "SELECT, INSERT",
    "entitlement": "SELECT, INSERT, UPDATE",
}

#: Table → what the worker sees of it: names and due times.
_WORKER_SEES = {
    "collection": "tenant_id, invoice_id, due_at, lease_until",
    "collection_charge": "tenant_id, invoice_id, charge, look_at",
    "notice": "tenant_id, id, due_at",
}


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in _STATEMENTS:
        op.execute(statement)
    for table, may in _APP_MAY.items():
        for statement in isolated(table, app_may=may):
            op.execute(statement)
    for table, columns in _WORKER_SEES.items():
        for statement in seen_by_worker(table, columns):
            op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
