"""What a shop sells, at which price, and what its customers used.

A price never changes: the app may archive one and no more. A usage event is told once for ever
under its meter and its id; its value is a decimal written out as a text, because a quantity is no
amount and must lose nothing. The order of arrival is that of the batches, and within one of the
places in it.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated

revision = "0014"
down_revision = "0013"

_PRODUCT = """
    CREATE TABLE product (
        tenant_id   uuid NOT NULL REFERENCES tenant (id),
        id          text COLLATE "C" NOT NULL,
        reference   text COLLATE "C" NOT NULL,
        name        text NOT NULL,
        features    jsonb NOT NULL,
        metadata    jsonb NOT NULL,
        created_at  timestamptz NOT NULL,
        archived_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, reference)
    )
"""

_METER = """
    CREATE TABLE meter (
        tenant_id   uuid NOT NULL REFERENCES tenant (id),
        id          text COLLATE "C" NOT NULL,
        name        text COLLATE "C" NOT NULL,
        formula     text NOT NULL CHECK (formula IN ('sum', 'count', 'max', 'last', 'unique')),
        late_policy text NOT NULL CHECK (late_policy IN ('next_invoice', 'reject')),
        created_at  timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, name)
    )
"""

_PRICE = """
    CREATE TABLE price (
        tenant_id      uuid NOT NULL REFERENCES tenant (id),
        id             text COLLATE "C" NOT NULL,
        product_id     text COLLATE "C" NOT NULL,
        options        jsonb NOT NULL,
        interval_unit  text CHECK (interval_unit IN ('day', 'week', 'month', 'year')),
        interval_count integer CHECK (interval_count > 0),
        meter_id       text COLLATE "C",  -- none: the quantity is the subscription's
        tax_behavior   text NOT NULL CHECK (tax_behavior IN ('exclusive', 'inclusive')),
        created_at     timestamptz NOT NULL,
        archived_at    timestamptz,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, product_id) REFERENCES product (tenant_id, id),
        FOREIGN KEY (tenant_id, meter_id) REFERENCES meter (tenant_id, id),
        CHECK ((interval_unit IS NULL) = (interval_count IS NULL))
    )
"""

#: On the path of thousands a second: no foreign key to the tenant.
_USAGE_EVENT = """
    CREATE TABLE usage_event (
        tenant_id   uuid NOT NULL,
        meter_id    text COLLATE "C" NOT NULL,
        id          text COLLATE "C" NOT NULL,
        customer_id text COLLATE "C" NOT NULL,
        at          timestamptz NOT NULL,
        value       text,
        key         text,
        told_at     timestamptz NOT NULL,
        batch_id    text COLLATE "C" NOT NULL,
        place       integer NOT NULL,
        PRIMARY KEY (tenant_id, meter_id, id),
        FOREIGN KEY (tenant_id, meter_id) REFERENCES meter (tenant_id, id),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id)
    )
"""

_STATEMENTS = (
    _PRODUCT,
    _METER,
    _PRICE,
    "CREATE INDEX price_product ON price (tenant_id, product_id, id)",
    _USAGE_EVENT,
    "CREATE INDEX usage_event_of_customer ON usage_event (tenant_id, meter_id, customer_id, at)",
)

#: Table → what the app may do with it.
_APP_MAY = {
    "product": "SELECT, INSERT, UPDATE",
    "meter": "SELECT, INSERT",
    "price": "SELECT, INSERT, UPDATE (archived_at)",
    "usage_event": "SELECT, INSERT",
}


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in _STATEMENTS:
        op.execute(statement)
    for table, may in _APP_MAY.items():
        for statement in isolated(table, app_may=may):
            op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
