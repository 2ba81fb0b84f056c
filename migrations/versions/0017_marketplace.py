"""Whose money a payment's is, and what is kept of it.

A split is written with its payment. `payment_part` says what stands of each owner's part; a step of
the payment (a capture, a refund, a dispute) is shared once: its row in `split_step` is written in
the transaction that posts it, and names exactly what moved, so that its way back is its mirror
image. `split_cursor` is the last event of the tenant's log that was looked at for such steps.
"""

from __future__ import annotations

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0017"
down_revision = "0016"

_ACCOUNT = """
    CREATE TABLE connected_account (
        tenant_id        uuid NOT NULL REFERENCES tenant (id),
        id               text COLLATE "C" NOT NULL,
        reference        text COLLATE "C" NOT NULL,
        status           text NOT NULL CHECK (status IN ('created', 'pending_verification',
                         'action_required', 'active', 'paused', 'rejected', 'closed')),
        country          text NOT NULL CHECK (length(country) = 2),
        default_currency text NOT NULL CHECK (length(default_currency) = 3),
        requirements     text[] NOT NULL,
        delay_days       integer NOT NULL CHECK (delay_days BETWEEN 0 AND 365),
        business_days    boolean NOT NULL,
        reserve_bps      integer NOT NULL CHECK (reserve_bps BETWEEN 0 AND 10000),
        reserve_days     integer NOT NULL CHECK (reserve_days BETWEEN 0 AND 3650),
        metadata         jsonb NOT NULL,
        created_at       timestamptz NOT NULL,
        updated_at       timestamptz NOT NULL,
        version          integer NOT NULL CHECK (version > 0),
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, reference)
    )
"""

#: Who found what of an account: a plugin, or a named person.
_CHECK = """
    CREATE TABLE account_check (
        tenant_id    uuid NOT NULL,
        id           text COLLATE "C" NOT NULL,
        account_id   text COLLATE "C" NOT NULL,
        actor        text NOT NULL,
        verdict      text NOT NULL
                     CHECK (verdict IN ('verified', 'pending', 'needs_information', 'rejected')),
        requirements text[] NOT NULL,
        reason       text,
        created_at   timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id)
    )
"""

#: A commission as it was agreed; `subject` is the product, the category or the vendor's account.
#: An empty currency: the rule holds in every one.
_RULE = """
    CREATE TABLE split_rule (
        tenant_id   uuid NOT NULL REFERENCES tenant (id),
        id          text COLLATE "C" NOT NULL,
        scope       text NOT NULL CHECK (scope IN ('product', 'category', 'vendor', 'tenant')),
        subject     text COLLATE "C" NOT NULL,
        currency    text NOT NULL CHECK (currency = '' OR length(currency) = 3),
        terms       jsonb NOT NULL,
        created_at  timestamptz NOT NULL,
        archived_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        CHECK ((scope = 'tenant') = (subject = ''))
    )
"""

_ESCROW = """
    CREATE TABLE escrow_hold (
        tenant_id       uuid NOT NULL,
        id              text COLLATE "C" NOT NULL,
        payment_id      text COLLATE "C" NOT NULL,
        currency        text NOT NULL CHECK (length(currency) = 3),
        status          text NOT NULL CHECK (status IN ('awaited', 'held', 'released', 'refunded')),
        terms           jsonb NOT NULL,
        progress        jsonb NOT NULL,  -- the milestones that were accepted, and those paid
        captured_at     timestamptz,
        delivered_at    timestamptz,
        approved_at     timestamptz,
        milestone_at    timestamptz,
        captured_minor  bigint NOT NULL CHECK (captured_minor >= 0),
        held_minor      bigint NOT NULL CHECK (held_minor >= 0),
        released_minor  bigint NOT NULL CHECK (released_minor >= 0),
        is_frozen       boolean NOT NULL,
        due_at          timestamptz,
        tries           integer NOT NULL DEFAULT 0,
        retry_at        timestamptz,
        created_at      timestamptz NOT NULL,
        updated_at      timestamptz NOT NULL,
        version         integer NOT NULL CHECK (version > 0),
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, payment_id),
        FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id),
        CHECK (held_minor <= captured_minor AND released_minor <= captured_minor)
    )
"""

_FREEZE = """
    CREATE TABLE escrow_freeze (
        tenant_id  uuid NOT NULL,
        escrow_id  text COLLATE "C" NOT NULL,
        dispute_id text COLLATE "C" NOT NULL,
        since      timestamptz NOT NULL,
        until      timestamptz,
        PRIMARY KEY (tenant_id, escrow_id, dispute_id, since),
        FOREIGN KEY (tenant_id, escrow_id) REFERENCES escrow_hold (tenant_id, id)
    )
"""

_RELEASE = """
    CREATE TABLE escrow_release (
        tenant_id    uuid NOT NULL,
        id           text COLLATE "C" NOT NULL,
        escrow_id    text COLLATE "C" NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        actor        text NOT NULL,
        reason       text,
        created_at   timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, escrow_id) REFERENCES escrow_hold (tenant_id, id)
    )
"""

_SPLIT = """
    CREATE TABLE payment_split (
        tenant_id       uuid NOT NULL,
        payment_id      text COLLATE "C" NOT NULL,
        currency        text NOT NULL CHECK (length(currency) = 3),
        amount_minor    bigint NOT NULL CHECK (amount_minor > 0),
        vendor_id       text COLLATE "C",
        commission      jsonb,
        base_minor      bigint CHECK (base_minor >= 0),
        fee_policy      text NOT NULL CHECK (fee_policy IN ('proportional', 'keep')),
        liability       text NOT NULL CHECK (liability IN ('vendor', 'platform', 'split_ratio')),
        fee_bearer      text NOT NULL CHECK (fee_bearer IN ('vendor', 'platform', 'split_ratio')),
        escrow_id       text COLLATE "C",
        settled_minor   bigint NOT NULL CHECK (settled_minor >= 0),
        fee_minor       bigint NOT NULL CHECK (fee_minor >= 0),
        fee_shared      bigint NOT NULL CHECK (fee_shared >= 0),
        sold_at         timestamptz,
        due_at          timestamptz,
        tries           integer NOT NULL CHECK (tries >= 0),
        created_at      timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, payment_id),
        FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id),
        FOREIGN KEY (tenant_id, vendor_id) REFERENCES connected_account (tenant_id, id),
        FOREIGN KEY (tenant_id, escrow_id) REFERENCES escrow_hold (tenant_id, id)
    )
"""

#: `account_id` is null where the part is the platform's own.
_PART = """
    CREATE TABLE payment_part (
        tenant_id        uuid NOT NULL,
        payment_id       text COLLATE "C" NOT NULL,
        number           integer NOT NULL CHECK (number >= 0),
        account_id       text COLLATE "C",
        planned_minor    bigint NOT NULL CHECK (planned_minor >= 0),
        captured_minor   bigint NOT NULL CHECK (captured_minor >= 0),
        refundable_minor bigint NOT NULL CHECK (refundable_minor >= 0),
        escrowed_minor   bigint NOT NULL CHECK (escrowed_minor >= 0),
        PRIMARY KEY (tenant_id, payment_id, number),
        FOREIGN KEY (tenant_id, payment_id) REFERENCES payment_split (tenant_id, payment_id),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id),
        CHECK (refundable_minor <= captured_minor AND escrowed_minor <= captured_minor)
    )
"""

#: What was said of the division of one capture or refund, written with its operation.
_ASKED = """
    CREATE TABLE operation_split (
        tenant_id    uuid NOT NULL,
        operation_id text COLLATE "C" NOT NULL,
        payment_id   text COLLATE "C" NOT NULL,
        number       integer NOT NULL CHECK (number >= 0),
        account_id   text COLLATE "C",
        amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
        PRIMARY KEY (tenant_id, operation_id, number),
        FOREIGN KEY (tenant_id, operation_id) REFERENCES operation (tenant_id, id),
        FOREIGN KEY (tenant_id, payment_id) REFERENCES payment_split (tenant_id, payment_id),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id)
    )
"""

_STEP = """
    CREATE TABLE split_step (
        tenant_id    uuid NOT NULL,
        operation_id text COLLATE "C" NOT NULL,
        phase        text NOT NULL CHECK (phase IN ('captured', 'refunded', 'refund_failed',
                     'disputed', 'dispute_won', 'dispute_fee', 'dispute_fee_returned')),
        round        integer NOT NULL CHECK (round >= 0),
        payment_id   text COLLATE "C" NOT NULL,
        attempt_id   text COLLATE "C" NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
        refundable   jsonb NOT NULL,
        moved        jsonb NOT NULL,
        created_at   timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, operation_id, phase, round),
        FOREIGN KEY (tenant_id, payment_id) REFERENCES payment_split (tenant_id, payment_id)
    )
"""

_RESERVE = """
    CREATE TABLE reserve_hold (
        tenant_id    uuid NOT NULL,
        id           text COLLATE "C" NOT NULL,
        account_id   text COLLATE "C" NOT NULL,
        payment_id   text COLLATE "C" NOT NULL,
        currency     text NOT NULL CHECK (length(currency) = 3),
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        release_at   timestamptz NOT NULL,
        released_at  timestamptz,
        tries        integer NOT NULL DEFAULT 0,
        retry_at     timestamptz,
        created_at   timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id),
        FOREIGN KEY (tenant_id, payment_id) REFERENCES payment_split (tenant_id, payment_id)
    )
"""

#: What a vendor has of its sales that is not available yet; signed, a refund takes away.
_PENDING = """
    CREATE TABLE account_pending (
        tenant_id    uuid NOT NULL,
        account_id   text COLLATE "C" NOT NULL,
        available_at timestamptz NOT NULL,
        step_id      text COLLATE "C" NOT NULL,
        payment_id   text COLLATE "C" NOT NULL,
        currency     text NOT NULL CHECK (length(currency) = 3),
        amount_minor bigint NOT NULL,
        PRIMARY KEY (tenant_id, account_id, available_at, step_id),
        FOREIGN KEY (tenant_id, account_id) REFERENCES connected_account (tenant_id, id)
    )
"""

_TRANSFER = """
    CREATE TABLE account_transfer (
        tenant_id    uuid NOT NULL,
        id           text COLLATE "C" NOT NULL,
        source_id    text COLLATE "C",
        target_id    text COLLATE "C",
        currency     text NOT NULL CHECK (length(currency) = 3),
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        description  text,
        created_at   timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, source_id) REFERENCES connected_account (tenant_id, id),
        FOREIGN KEY (tenant_id, target_id) REFERENCES connected_account (tenant_id, id),
        CHECK (source_id <> target_id)
    )
"""

_CURSOR = """
    CREATE TABLE split_cursor (
        tenant_id uuid NOT NULL REFERENCES tenant (id),
        position  bigint NOT NULL CHECK (position >= 0),
        PRIMARY KEY (tenant_id)
    )
"""

_STATEMENTS: tuple[str, ...] = (
    _ACCOUNT,
    _CHECK,
    "CREATE INDEX account_check_account ON account_check (tenant_id, account_id, id)",
    _RULE,
    "CREATE UNIQUE INDEX split_rule_agreed ON split_rule (tenant_id, scope, subject, currency)"
    " WHERE archived_at IS NULL",
    _ESCROW,
    "CREATE INDEX escrow_hold_due ON escrow_hold (due_at) WHERE status = 'held'",
    _FREEZE,
    _RELEASE,
    "CREATE INDEX escrow_release_escrow ON escrow_release (tenant_id, escrow_id, id)",
    _SPLIT,
    "CREATE INDEX payment_split_vendor ON payment_split (tenant_id, vendor_id, currency, sold_at)"
    " WHERE vendor_id IS NOT NULL",
    "CREATE INDEX payment_split_due ON payment_split (due_at) WHERE due_at IS NOT NULL",
    _PART,
    "CREATE INDEX payment_part_account ON payment_part (tenant_id, account_id, payment_id)"
    " WHERE account_id IS NOT NULL",
    _ASKED,
    _STEP,
    "CREATE INDEX split_step_payment ON split_step (tenant_id, payment_id, created_at)",
    _RESERVE,
    "CREATE INDEX reserve_hold_due ON reserve_hold (release_at) WHERE released_at IS NULL",
    "CREATE INDEX reserve_hold_account ON reserve_hold (tenant_id, account_id, id)",
    _PENDING,
    _TRANSFER,
    _CURSOR,
)

#: Table → what the app may do with it.
_APP_MAY: dict[str, str] = {
    "connected_account": "SELECT, INSERT, UPDATE",
    "account_check": "SELECT, INSERT",
    "split_rule": "SELECT, INSERT, UPDATE (archived_at)",
    "escrow_hold": "SELECT, INSERT, UPDATE",
    "escrow_freeze": "SELECT, INSERT, UPDATE (until)",
    "escrow_release": "SELECT, INSERT",
    "payment_split": "SELECT, INSERT, UPDATE",
    "payment_part": "SELECT, INSERT, UPDATE",
    "operation_split": "SELECT, INSERT",
    "split_step": "SELECT, INSERT",
    "reserve_hold": "SELECT, INSERT, UPDATE (released_at, tries, retry_at)",
    "account_pending": "SELECT, INSERT, DELETE",
    "account_transfer": "SELECT, INSERT",
    "split_cursor": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    for statement in _STATEMENTS:
        op.execute(statement)
    for table, may in _APP_MAY.items():
        for statement in isolated(table, app_may=may):
            op.execute(statement)
    seen = (
        *seen_by_worker("escrow_hold", "tenant_id, id, status, due_at, retry_at"),
        *seen_by_worker("reserve_hold", "tenant_id, id, release_at, released_at, retry_at"),
        *seen_by_worker("payment_split", "tenant_id, payment_id, due_at"),
        *seen_by_worker("split_cursor", "tenant_id, position"),
    )
    for statement in seen:
        op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
