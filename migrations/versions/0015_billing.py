"""What subscriptions, invoices and a shop's billing settings are kept?

A subscription's present terms are its items whose `ended_at` is empty. `due_at` is the next instant
at which time alone does something to it; nothing else is read to find what is due. An invoice of a
period is one for ever: (subscription, period start) is unique. Its number comes from the tenant's
counter, whose row is locked last in a transaction.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0015"
down_revision = "0014"

_SUBSCRIPTION = """
    CREATE TABLE subscription (
        tenant_id            uuid NOT NULL REFERENCES tenant (id),
        id                   text COLLATE "C" NOT NULL,
        customer_id          text COLLATE "C" NOT NULL,
        currency             text NOT NULL,
        status               text NOT NULL CHECK (status IN (
            'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid',
            'paused', 'canceled', 'needs_operator')),
        access               text NOT NULL CHECK (access IN (
            'withheld', 'granted', 'suspended', 'ended')),
        anchor               timestamptz NOT NULL,
        anchor_day           integer CHECK (anchor_day BETWEEN 1 AND 31),
        interval_unit        text NOT NULL
            CHECK (interval_unit IN ('day', 'week', 'month', 'year')),
        interval_count       integer NOT NULL CHECK (interval_count > 0),
        time_zone            text NOT NULL,
        period_start         timestamptz NOT NULL,
        period_end           timestamptz NOT NULL CHECK (period_end >= period_start),
        trial_end            timestamptz,
        cancel_at_period_end boolean NOT NULL,
        pause_at_period_end  boolean NOT NULL,
        payment_method_id    text COLLATE "C",  -- none: the customer's default
        coupons              jsonb NOT NULL,    -- [{"coupon": id, "until": instant or null}]
        phases               jsonb NOT NULL,    -- what comes after the present terms
        proration_mode       text NOT NULL CHECK (proration_mode IN ('second', 'day')),
        metadata             jsonb NOT NULL,
        version              bigint NOT NULL,
        change_at            timestamptz,       -- its first scheduled change that waits, or phase
        notice_at            timestamptz,       -- when the end of its trial is told of
        due_at               timestamptz,
        created_at           timestamptz NOT NULL,
        canceled_at          timestamptz,
        ended_at             timestamptz,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id)
    )
"""

#: A quantity is a decimal written out as a text, as that of usage is.
_ITEM = """
    CREATE TABLE subscription_item (
        tenant_id       uuid NOT NULL REFERENCES tenant (id),
        id              text COLLATE "C" NOT NULL,
        subscription_id text COLLATE "C" NOT NULL,
        price_id        text COLLATE "C" NOT NULL,
        quantity        text NOT NULL,
        starts_at       timestamptz NOT NULL,
        ended_at        timestamptz,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id),
        FOREIGN KEY (tenant_id, price_id) REFERENCES price (tenant_id, id)
    )
"""

_SCHEDULED_CHANGE = """
    CREATE TABLE scheduled_change (
        tenant_id       uuid NOT NULL REFERENCES tenant (id),
        id              text COLLATE "C" NOT NULL,
        subscription_id text COLLATE "C" NOT NULL,
        at              timestamptz NOT NULL,
        change          jsonb NOT NULL,
        status          text NOT NULL CHECK (status IN ('waiting', 'done', 'failed', 'withdrawn')),
        failure         text,
        created_at      timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id)
    )
"""

_COUPON = """
    CREATE TABLE coupon (
        tenant_id   uuid NOT NULL REFERENCES tenant (id),
        id          text COLLATE "C" NOT NULL,
        code        text COLLATE "C" NOT NULL,
        terms       jsonb NOT NULL,
        created_at  timestamptz NOT NULL,
        archived_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, code)
    )
"""

#: `line` is an `InvoiceLine`. It waits until an invoice takes it, once.
_PENDING_LINE = """
    CREATE TABLE pending_line (
        tenant_id       uuid NOT NULL REFERENCES tenant (id),
        id              text COLLATE "C" NOT NULL,
        customer_id     text COLLATE "C" NOT NULL,
        subscription_id text COLLATE "C",
        currency        text NOT NULL,
        line            jsonb NOT NULL,
        invoice_id      text COLLATE "C",
        created_at      timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id),
        FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id)
    )
"""

#: `document` is `invoice_bytes`, byte for byte, and `hash` its SHA-256: what a preview showed.
_INVOICE = """
    CREATE TABLE invoice (
        tenant_id       uuid NOT NULL,
        id              text COLLATE "C" NOT NULL,
        number          bigint CHECK (number > 0),
        customer_id     text COLLATE "C" NOT NULL,
        subscription_id text COLLATE "C",
        period_start    timestamptz,
        period_end      timestamptz,
        reason          text NOT NULL CHECK (reason IN ('subscription_create', 'subscription_cycle',
            'subscription_update', 'usage_cycle', 'manual')),
        status          text NOT NULL CHECK (status IN (
            'draft', 'open', 'paid', 'void', 'uncollectible', 'deleted')),
        currency        text NOT NULL,
        total           bigint NOT NULL,
        amount_due      bigint NOT NULL CHECK (amount_due >= 0),
        amount_paid     bigint NOT NULL CHECK (amount_paid >= 0),
        amount_credited bigint NOT NULL CHECK (amount_credited >= 0),
        document        bytea NOT NULL,
        hash            text NOT NULL,
        payment_id      text COLLATE "C",
        version         bigint NOT NULL,
        created_at      timestamptz NOT NULL,
        finalized_at    timestamptz,
        due_at          timestamptz,
        paid_at         timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, number),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id),
        FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id),
        CHECK ((number IS NULL) = (status IN ('draft', 'deleted')))
    )
"""

_CREDIT_NOTE = """
    CREATE TABLE credit_note (
        tenant_id   uuid NOT NULL REFERENCES tenant (id),
        id          text COLLATE "C" NOT NULL,
        number      bigint NOT NULL CHECK (number > 0),
        invoice_id  text COLLATE "C" NOT NULL,
        amount      bigint NOT NULL CHECK (amount > 0),
        given_back  bigint NOT NULL CHECK (given_back >= 0),
        refund      text NOT NULL CHECK (refund IN (
            'none', 'balance', 'asked', 'sent', 'failed')),
        refund_id   text COLLATE "C",
        refund_due_at timestamptz,
        document    jsonb NOT NULL,
        reason      text NOT NULL,
        created_at  timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, number),
        FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoice (tenant_id, id)
    )
"""

_COUNTER = """
    CREATE TABLE billing_counter (
        tenant_id uuid NOT NULL REFERENCES tenant (id),
        kind      text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
        last      bigint NOT NULL CHECK (last >= 0),
        PRIMARY KEY (tenant_id, kind)
    )
"""

#: What the customer has with the shop, below zero what waits to be charged; entries explain it.
_BALANCE = """
    CREATE TABLE customer_balance (
        tenant_id   uuid NOT NULL REFERENCES tenant (id),
        customer_id text COLLATE "C" NOT NULL,
        currency    text NOT NULL,
        balance     bigint NOT NULL,
        PRIMARY KEY (tenant_id, customer_id, currency),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id)
    )
"""
_BALANCE_ENTRY = """
    CREATE TABLE customer_balance_entry (
        tenant_id   uuid NOT NULL REFERENCES tenant (id),
        id          text COLLATE "C" NOT NULL,
        customer_id text COLLATE "C" NOT NULL,
        currency    text NOT NULL,
        amount      bigint NOT NULL CHECK (amount <> 0),
        reason      text NOT NULL,
        invoice_id  text COLLATE "C",
        created_at  timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id),
        FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoice (tenant_id, id)
            DEFERRABLE INITIALLY DEFERRED  -- invoices are written last, with their numbers
    )
"""

#: What has been invoiced by now of the usage of an item between two instants. What comes later is
#: told from it, and charged with the next invoice.
_BILLED_USAGE = """
    CREATE TABLE billed_usage (
        tenant_id       uuid NOT NULL,
        subscription_id text COLLATE "C" NOT NULL,
        item_id         text COLLATE "C" NOT NULL,
        period_start    timestamptz NOT NULL,
        period_end      timestamptz NOT NULL,
        customer_id     text COLLATE "C" NOT NULL,
        meter_id        text COLLATE "C" NOT NULL,
        quantity        text NOT NULL,
        billed_at       timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, subscription_id, item_id, period_start),
        FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id),
        FOREIGN KEY (tenant_id, item_id) REFERENCES subscription_item (tenant_id, id)
    )
"""

#: A subscription that could not be renewed: why, how often, and when it is tried again.
_RENEWAL_FAILURE = """
    CREATE TABLE renewal_failure (
        tenant_id       uuid NOT NULL,
        subscription_id text COLLATE "C" NOT NULL,
        attempts        integer NOT NULL CHECK (attempts > 0),
        code            text NOT NULL,
        message         text NOT NULL,
        first_at        timestamptz NOT NULL,
        failed_at       timestamptz NOT NULL,
        retry_at        timestamptz NOT NULL,
        resolved_at     timestamptz,
        PRIMARY KEY (tenant_id, subscription_id),
        FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id)
    )
"""

#: Where a customer is taxed, and in which language they read their invoices.
_BILLING_PROFILE = """
    CREATE TABLE billing_profile (
        tenant_id      uuid NOT NULL REFERENCES tenant (id),
        customer_id    text COLLATE "C" NOT NULL,
        country        text,
        region         text,
        postal_code    text,
        tax_exempt     boolean NOT NULL,
        language       text,
        address_sealed bytea,
        updated_at     timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, customer_id),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id)
    )
"""

#: One document of settings for each tenant; the newest version holds.
_SETTING = """
    CREATE TABLE billing_setting (
        tenant_id  uuid NOT NULL REFERENCES tenant (id),
        version    bigint NOT NULL CHECK (version > 0),
        document   jsonb NOT NULL,
        actor      text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, version)
    )
"""

#: `from_at` is where the advance under way began; `leased_until` is the wall's time.
_TEST_CLOCK = """
    CREATE TABLE test_clock (
        tenant_id    uuid NOT NULL REFERENCES tenant (id),
        now_at       timestamptz NOT NULL,
        from_at      timestamptz NOT NULL,
        target_at    timestamptz NOT NULL CHECK (target_at >= now_at AND now_at >= from_at),
        leased_until timestamptz,
        version      bigint NOT NULL,
        created_at   timestamptz NOT NULL,
        PRIMARY KEY (tenant_id)
    )
"""

_STATEMENTS = (
    _SUBSCRIPTION,
    "CREATE INDEX subscription_due ON subscription (tenant_id, due_at, id) "
    "WHERE due_at IS NOT NULL",
    "CREATE INDEX subscription_of_customer ON subscription (tenant_id, customer_id, id)",
    _ITEM,
    "CREATE INDEX subscription_item_of ON subscription_item (tenant_id, subscription_id, id)",
    _SCHEDULED_CHANGE,
    "CREATE INDEX scheduled_change_of ON scheduled_change (tenant_id, subscription_id, at, id)",
    _COUPON,
    _PENDING_LINE,
    "CREATE INDEX pending_line_waiting ON pending_line (tenant_id, customer_id, id) "
    "WHERE invoice_id IS NULL",
    _INVOICE,
    "CREATE UNIQUE INDEX invoice_of_period ON invoice (tenant_id, subscription_id, period_start) "
    "WHERE reason IN ('subscription_create', 'subscription_cycle') "
    "AND status NOT IN ('deleted')",
    "CREATE INDEX invoice_of_customer ON invoice (tenant_id, customer_id, id)",
    "CREATE INDEX invoice_of_subscription ON invoice (tenant_id, subscription_id, id)",
    _CREDIT_NOTE,
    "CREATE INDEX credit_note_of ON credit_note (tenant_id, invoice_id, id)",
    "CREATE INDEX credit_note_due ON credit_note (refund_due_at, tenant_id, id) "
    "WHERE refund_due_at IS NOT NULL",
    _COUNTER,
    _BALANCE,
    _BALANCE_ENTRY,
    "CREATE INDEX customer_balance_entry_of ON customer_balance_entry (tenant_id, customer_id, id)",
    _BILLED_USAGE,
    "CREATE INDEX billed_usage_of ON billed_usage (tenant_id, subscription_id, period_end)",
    "CREATE INDEX billed_usage_of_meter ON billed_usage "
    "(tenant_id, customer_id, meter_id, period_end)",
    _RENEWAL_FAILURE,
    _BILLING_PROFILE,
    _SETTING,
    _TEST_CLOCK,
)

#: Table → what the app may do with it.
_APP_MAY = {
    "subscription": "SELECT, INSERT, UPDATE",
    "subscription_item": "SELECT, INSERT, UPDATE (ended_at)",
    "scheduled_change": "SELECT, INSERT, UPDATE (status, failure)",
    "coupon": "SELECT, INSERT, UPDATE (archived_at)",
    "pending_line": "SELECT, INSERT, UPDATE (invoice_id)",
    "invoice": "SELECT, INSERT, UPDATE",
    "credit_note": "SELECT, INSERT, UPDATE (refund, refund_id, refund_due_at)",
    "billing_counter": "SELECT, INSERT, UPDATE",
    "customer_balance": "SELECT, INSERT, UPDATE",
    "customer_balance_entry": "SELECT, INSERT",
    "billed_usage": "SELECT, INSERT, UPDATE (quantity, billed_at)",
    "renewal_failure": "SELECT, INSERT, UPDATE",
    "billing_profile": "SELECT, INSERT, UPDATE",
    "billing_setting": "SELECT, INSERT",
    "test_clock": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in _STATEMENTS:
        op.execute(statement)
    for table, may in _APP_MAY.items():
        for statement in isolated(table, app_may=may):
            op.execute(statement)
    for statement in seen_by_worker("subscription", "tenant_id, id, due_at"):
        op.execute(statement)
    for statement in seen_by_worker("credit_note", "tenant_id, id, refund_due_at"):
        op.execute(statement)
    for statement in seen_by_worker("test_clock", "tenant_id, now_at, target_at, leased_until"):
        op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
