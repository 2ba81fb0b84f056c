"""What is kept of rates, quotes and imported settlements, and of the ledger's days?

Rates and the lines of a provider's files are appended and never changed; of a line the app may
write what it was found to be. A quote is used once: that is the one thing that changes of it.
`ledger_day` has what each day did to an account, so that the balance at any past instant needs no
reading of everything before it; the index on instants is a few bytes for many rows.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated

revision = "0019"
down_revision = "0018"

_RATE = """
    CREATE TABLE fx_rate (
        tenant_id uuid NOT NULL REFERENCES tenant (id),
        id        text COLLATE "C" NOT NULL,
        source    text COLLATE "C" NOT NULL,
        base      text NOT NULL CHECK (length(base) = 3),
        currency  text NOT NULL CHECK (length(currency) = 3),
        day       date NOT NULL,
        rate      text NOT NULL,  -- exact: a decimal or a ratio, never a float
        told_at   timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id)
    )
"""

_QUOTE = """
    CREATE TABLE fx_quote (
        tenant_id       uuid NOT NULL REFERENCES tenant (id),
        id              text COLLATE "C" NOT NULL,
        source_currency text NOT NULL CHECK (length(source_currency) = 3),
        source_minor    bigint NOT NULL CHECK (source_minor > 0),
        target_currency text NOT NULL CHECK (length(target_currency) = 3),
        target_minor    bigint NOT NULL CHECK (target_minor > 0),
        mid_minor       bigint NOT NULL,
        markup_minor    bigint NOT NULL CHECK (markup_minor >= 0),
        mid_rate        text NOT NULL,
        customer_rate   text NOT NULL,
        markup_bps      bigint NOT NULL CHECK (markup_bps >= 0),
        rounding        text NOT NULL CHECK (rounding IN ('half_even', 'half_up', 'down')),
        rate_source     text NOT NULL,
        rate_date       text NOT NULL,
        lock            text NOT NULL CHECK (lock IN ('none', 'five_minutes', 'hour', 'day')),
        created_at      timestamptz NOT NULL,
        expires_at      timestamptz NOT NULL,
        used_at         timestamptz,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT fx_quote_adds_up CHECK (mid_minor - target_minor = markup_minor)
    )
"""

_CONVERSION = """
    CREATE TABLE fx_conversion (
        tenant_id       uuid NOT NULL REFERENCES tenant (id),
        id              text COLLATE "C" NOT NULL,
        kind            text NOT NULL CHECK (kind IN ('asked', 'settlement', 'refund')),
        account         text COLLATE "C" NOT NULL,
        source_currency text NOT NULL CHECK (length(source_currency) = 3),
        source_minor    bigint NOT NULL CHECK (source_minor > 0),
        target_currency text NOT NULL CHECK (length(target_currency) = 3),
        target_minor    bigint NOT NULL CHECK (target_minor >= 0),
        mid_minor       bigint NOT NULL CHECK (mid_minor >= 0),
        markup_minor    bigint NOT NULL CHECK (markup_minor >= 0),
        mid_rate        text NOT NULL,
        markup_bps      bigint NOT NULL CHECK (markup_bps >= 0),
        rounding        text NOT NULL CHECK (rounding IN ('half_even', 'half_up', 'down')),
        rate_source     text NOT NULL,
        rate_date       text NOT NULL,
        quote_id        text COLLATE "C",
        payment_id      text COLLATE "C",
        operation_id    text COLLATE "C",
        received_minor  bigint,
        gain_minor      bigint NOT NULL DEFAULT 0 CHECK (gain_minor >= 0),
        loss_minor      bigint NOT NULL DEFAULT 0 CHECK (loss_minor >= 0),
        created_at      timestamptz NOT NULL,
        settled_at      timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, quote_id),
        FOREIGN KEY (tenant_id, quote_id) REFERENCES fx_quote (tenant_id, id),
        FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id),
        FOREIGN KEY (tenant_id, operation_id) REFERENCES operation (tenant_id, id)
    )
"""

_SETTING = """
    CREATE TABLE fx_setting (
        tenant_id             uuid NOT NULL REFERENCES tenant (id),
        markup_bps            bigint NOT NULL CHECK (markup_bps >= 0 AND markup_bps < 10000),
        rounding              text NOT NULL CHECK (rounding IN ('half_even', 'half_up', 'down')),
        sources               text[] NOT NULL,
        convert_at_settlement boolean NOT NULL,
        refund_rate           text NOT NULL CHECK (refund_rate IN ('original', 'current')),
        updated_at            timestamptz NOT NULL,
        PRIMARY KEY (tenant_id)
    )
"""

_FILE = """
    CREATE TABLE settlement_file (
        tenant_id   uuid NOT NULL REFERENCES tenant (id),
        id          text COLLATE "C" NOT NULL,
        format      text COLLATE "C" NOT NULL,
        gateway     text COLLATE "C" NOT NULL,
        name        text NOT NULL,
        digest      bytea NOT NULL,
        line_count  bigint NOT NULL CHECK (line_count >= 0),
        new_count   bigint NOT NULL DEFAULT 0,
        work_count  bigint NOT NULL DEFAULT 0,
        problems    text[] NOT NULL,
        begins_at   timestamptz,
        ends_at     timestamptz,
        imported_by text NOT NULL,
        created_at  timestamptz NOT NULL,
        finished_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, format, digest)
    )
"""

_LINE = """
    CREATE TABLE settlement_line (
        tenant_id            uuid NOT NULL,
        id                   text COLLATE "C" NOT NULL,
        file_id              text COLLATE "C" NOT NULL,
        gateway              text COLLATE "C" NOT NULL,
        line_key             text COLLATE "C" NOT NULL,
        kind                 text NOT NULL CHECK (kind IN ('capture', 'refund', 'dispute',
            'dispute_reversal', 'payout', 'payout_reversal', 'transfer', 'fee', 'other')),
        reference            text COLLATE "C" NOT NULL,
        amount_minor         bigint NOT NULL,
        currency             text NOT NULL CHECK (length(currency) = 3),
        fee_minor            bigint NOT NULL,
        presentment_minor    bigint,
        presentment_currency text CHECK (length(presentment_currency) = 3),
        category             text NOT NULL,
        payout_reference     text COLLATE "C" NOT NULL,
        occurred_at          timestamptz NOT NULL,
        finding              text NOT NULL CHECK (finding IN
            ('matched', 'missing_here', 'amount_differs', 'fee_differs')),
        payment_id           text COLLATE "C",
        operation_id         text COLLATE "C",
        payout_id            text COLLATE "C",
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, gateway, line_key),
        FOREIGN KEY (tenant_id, file_id) REFERENCES settlement_file (tenant_id, id),
        FOREIGN KEY (tenant_id, operation_id) REFERENCES operation (tenant_id, id),
        FOREIGN KEY (tenant_id, payout_id) REFERENCES payout (tenant_id, id)
    )
"""

_ITEM = """
    CREATE TABLE settlement_item (
        tenant_id         uuid NOT NULL,
        id                text COLLATE "C" NOT NULL,
        finding           text NOT NULL CHECK (finding IN
            ('missing_here', 'missing_there', 'amount_differs', 'fee_differs')),
        gateway           text COLLATE "C" NOT NULL,
        file_id           text COLLATE "C" NOT NULL,
        line_id           text COLLATE "C",
        payment_id        text COLLATE "C",
        operation_id      text COLLATE "C",
        payout_id         text COLLATE "C",
        ours_minor        bigint,
        ours_currency     text CHECK (length(ours_currency) = 3),
        theirs_minor      bigint,
        theirs_currency   text CHECK (length(theirs_currency) = 3),
        amount_difference bigint,
        fee_difference    bigint,
        opened_at         timestamptz NOT NULL,
        assigned_to       text,
        resolution        text CHECK (resolution IN ('explained', 'fee_booked', 'arrived')),
        settled_by        text,
        settled_at        timestamptz,
        version           bigint NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, file_id) REFERENCES settlement_file (tenant_id, id),
        FOREIGN KEY (tenant_id, line_id) REFERENCES settlement_line (tenant_id, id),
        FOREIGN KEY (tenant_id, operation_id) REFERENCES operation (tenant_id, id)
    )
"""

_ACTION = """
    CREATE TABLE settlement_action (
        tenant_id  uuid NOT NULL,
        id         text COLLATE "C" NOT NULL,
        item_id    text COLLATE "C" NOT NULL,
        kind       text NOT NULL CHECK (kind IN ('opened', 'assigned', 'settled')),
        person     text NOT NULL,
        actor      text NOT NULL,
        reason     text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, item_id) REFERENCES settlement_item (tenant_id, id)
    )
"""

_DAY = """
    CREATE TABLE ledger_day (
        tenant_id       uuid NOT NULL,
        account         text COLLATE "C" NOT NULL,
        currency        text NOT NULL CHECK (length(currency) = 3),
        day             date NOT NULL,
        debits_posted   bigint NOT NULL,
        credits_posted  bigint NOT NULL,
        debits_pending  bigint NOT NULL,
        credits_pending bigint NOT NULL,
        PRIMARY KEY (tenant_id, account, currency, day)
    )
"""

#: What was folded before there were days is dealt to its days now; the policies bind the owner too.
_FORMER_DAYS = """
    DO $$
    DECLARE each uuid;
    BEGIN
        FOR each IN SELECT id FROM tenant LOOP
            PERFORM set_config('app.tenant_id', each::text, true);
            INSERT INTO ledger_day
            SELECT each, side.account, t.currency, (t.created_at AT TIME ZONE 'UTC')::date,
                   sum(side.dp)::bigint, sum(side.cp)::bigint,
                   sum(side.dr)::bigint, sum(side.cr)::bigint
            FROM ledger_transfer t
            LEFT JOIN ledger_transfer p ON p.tenant_id = each
                AND p.transaction_id = t.pending_transaction_id AND p.line = t.pending_line
            CROSS JOIN LATERAL (SELECT
                CASE WHEN t.phase IN ('posted', 'post') THEN t.amount_minor ELSE 0 END AS posted,
                CASE t.phase WHEN 'pending' THEN t.amount_minor WHEN 'posted' THEN 0
                    ELSE -p.amount_minor END AS pending) AS moved
            CROSS JOIN LATERAL (VALUES
                (t.debit_account, moved.posted, 0, moved.pending, 0),
                (t.credit_account, 0, moved.posted, 0, moved.pending)
            ) AS side (account, dp, cp, dr, cr)
            WHERE t.tenant_id = each AND NOT EXISTS (
                SELECT FROM ledger_tail l
                WHERE l.tenant_id = each AND l.transaction_id = t.transaction_id)
            GROUP BY 2, 3, 4;
        END LOOP;
        PERFORM set_config('app.tenant_id', '', true);
    END $$
"""

_STATEMENTS = (
    _RATE,
    "CREATE INDEX fx_rate_of_day ON fx_rate (tenant_id, source, day, currency, id)",
    _QUOTE,
    _CONVERSION,
    "CREATE INDEX fx_conversion_of_payment ON fx_conversion (tenant_id, payment_id, id)"
    " WHERE payment_id IS NOT NULL",
    _SETTING,
    _FILE,
    _LINE,
    "CREATE INDEX settlement_line_of_file ON settlement_line (tenant_id, file_id, id)",
    "CREATE INDEX settlement_line_of_operation ON settlement_line (tenant_id, operation_id)"
    " WHERE operation_id IS NOT NULL",
    "CREATE INDEX settlement_line_of_payout ON settlement_line (tenant_id, payout_id)"
    " WHERE payout_id IS NOT NULL",
    "CREATE INDEX settlement_line_at ON settlement_line (tenant_id, gateway, occurred_at, id)",
    _ITEM,
    "CREATE INDEX settlement_item_open ON settlement_item (tenant_id, id) WHERE settled_at IS NULL",
    "CREATE INDEX settlement_item_of_operation ON settlement_item (tenant_id, operation_id)"
    " WHERE operation_id IS NOT NULL",
    _ACTION,
    "CREATE INDEX settlement_action_of ON settlement_action (tenant_id, item_id, id)",
    _DAY,
    _FORMER_DAYS,
    "CREATE INDEX ledger_transfer_at ON ledger_transfer USING brin (created_at)"
    " WITH (pages_per_range = 32, autosummarize = on)",
)

#: Table → what the app may do with it.
_APP_MAY = {
    "fx_rate": "SELECT, INSERT",
    "fx_quote": "SELECT, INSERT, UPDATE (used_at)",
    "fx_conversion": "SELECT, INSERT, UPDATE (received_minor, gain_minor, loss_minor, settled_at)",
    "fx_setting": "SELECT, INSERT, UPDATE",
    "settlement_file": "SELECT, INSERT, UPDATE (new_count, work_count, finished_at)",
    "settlement_line": "SELECT, INSERT",
    "settlement_item": "SELECT, INSERT,"
    " UPDATE (assigned_to, resolution, settled_by, settled_at, version)",
    "settlement_action": "SELECT, INSERT",
    "ledger_day": "SELECT, INSERT, UPDATE",
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
