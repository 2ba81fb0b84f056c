-- The foundation: tenants and their door, payments, events and the ledger.
-- Every tenant-owned table has tenant_id first in its keys; 0001_foundation.py adds roles, policies
-- and grants. The rows of a payment's own path do not refer to `tenant`: a foreign key would lock
-- the one tenant row in each payment, and the policies already bind tenant_id to the session.

CREATE TABLE tenant (
    id           uuid PRIMARY KEY,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    mode         text NOT NULL CHECK (mode IN ('live', 'test')),
    organisation text NOT NULL,
    created_at   timestamptz NOT NULL
);

CREATE TABLE installation (
    id               smallint PRIMARY KEY CHECK (id = 1),
    fingerprint      text NOT NULL,
    epoch            bigint NOT NULL,
    master_key_check text
);

CREATE TABLE directory (
    kind        text NOT NULL,
    lookup_hash bytea NOT NULL,
    tenant_id   uuid NOT NULL REFERENCES tenant (id),
    subject_id  text COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, lookup_hash)
);
CREATE INDEX directory_subject ON directory (tenant_id, subject_id);

CREATE TABLE api_key (
    tenant_id  uuid NOT NULL REFERENCES tenant (id),
    id         text COLLATE "C" NOT NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    last_four  text NOT NULL,
    scopes     text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE data_key (
    tenant_id  uuid NOT NULL REFERENCES tenant (id),
    version    integer NOT NULL CHECK (version > 0),
    wrapped    bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE plugin_setting (
    tenant_id  uuid NOT NULL REFERENCES tenant (id),
    plugin     text COLLATE "C" NOT NULL,
    enabled    boolean NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    settings   jsonb NOT NULL,
    secrets    jsonb NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, plugin)
);

CREATE TABLE customer (
    tenant_id    uuid NOT NULL REFERENCES tenant (id),
    id           text COLLATE "C" NOT NULL,
    reference    text,
    email_sealed bytea,
    name_sealed  bytea,
    metadata     jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, reference)
);

CREATE TABLE payment_method (
    tenant_id    uuid NOT NULL,
    id           text COLLATE "C" NOT NULL,
    customer_id  text COLLATE "C" NOT NULL,
    kind         text NOT NULL,
    label        text NOT NULL,
    token_sealed bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    detached_at  timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id)
);
CREATE INDEX payment_method_customer ON payment_method (tenant_id, customer_id, id);

CREATE TABLE idempotency_key (
    tenant_id   uuid NOT NULL,
    key         text COLLATE "C" NOT NULL,
    mutation    text NOT NULL,
    fingerprint bytea NOT NULL,
    resource_id text COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);

CREATE TABLE payment (
    tenant_id              uuid NOT NULL,
    id                     text COLLATE "C" NOT NULL,
    customer_id            text COLLATE "C",
    status                 text NOT NULL,
    amount_minor           bigint NOT NULL CHECK (amount_minor > 0),
    currency               text NOT NULL CHECK (length(currency) = 3),
    capture_method         text NOT NULL CHECK (capture_method IN ('AUTOMATIC', 'MANUAL')),
    authorized_minor       bigint NOT NULL DEFAULT 0,
    captured_minor         bigint NOT NULL DEFAULT 0,
    voided_minor           bigint NOT NULL DEFAULT 0,
    refunded_minor         bigint NOT NULL DEFAULT 0,
    charged_back_minor     bigint NOT NULL DEFAULT 0,
    capture_reserved_minor bigint NOT NULL DEFAULT 0,
    void_reserved_minor    bigint NOT NULL DEFAULT 0,
    refund_reserved_minor  bigint NOT NULL DEFAULT 0,
    method_kind            text,
    saved_payment_method_id text COLLATE "C",
    off_session            boolean NOT NULL DEFAULT false,
    return_url             text,
    description            text,
    metadata               jsonb NOT NULL DEFAULT '{}',
    gateway                text COLLATE "C",
    next_action_url        text,
    decline_code           text,
    anomalies              text[] NOT NULL DEFAULT '{}',
    needs_review           boolean NOT NULL DEFAULT false,
    conflicted             boolean NOT NULL DEFAULT false,
    hold_expires_at        timestamptz,
    version                integer NOT NULL DEFAULT 1,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES customer (tenant_id, id),
    FOREIGN KEY (tenant_id, saved_payment_method_id) REFERENCES payment_method (tenant_id, id),
    CONSTRAINT payment_sums_not_negative CHECK (least(
        authorized_minor, captured_minor, voided_minor, refunded_minor, charged_back_minor,
        capture_reserved_minor, void_reserved_minor, refund_reserved_minor) >= 0),
    CONSTRAINT payment_holds_suffice CHECK (
        captured_minor + voided_minor + capture_reserved_minor + void_reserved_minor
            <= authorized_minor OR anomalies <> '{}'),
    CONSTRAINT payment_refunds_suffice CHECK (
        refunded_minor + charged_back_minor + refund_reserved_minor <= captured_minor
            OR anomalies <> '{}')
) WITH (fillfactor = 85);
CREATE INDEX payment_customer ON payment (tenant_id, customer_id, id) WHERE customer_id IS NOT NULL;
CREATE INDEX payment_hold ON payment (hold_expires_at) WHERE hold_expires_at IS NOT NULL;

CREATE TABLE attempt (
    tenant_id  uuid NOT NULL,
    id         text COLLATE "C" NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    gateway    text COLLATE "C" NOT NULL,
    method     jsonb NOT NULL,
    routing    jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, payment_id, number),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id)
);

CREATE TABLE operation (
    tenant_id          uuid NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    payment_id         text COLLATE "C" NOT NULL,
    attempt_id         text COLLATE "C" NOT NULL,
    kind               text NOT NULL
        CHECK (kind = ANY ('{authorize,increment,capture,void,refund,dispute}')),
    status             text NOT NULL,
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    currency           text NOT NULL CHECK (length(currency) = 3),
    capture            boolean NOT NULL DEFAULT false,
    final              boolean NOT NULL DEFAULT false,
    released_minor     bigint NOT NULL DEFAULT 0 CHECK (released_minor >= 0),
    gateway            text COLLATE "C" NOT NULL,
    provider_key       text COLLATE "C" NOT NULL,  -- the operation's id: unique as that is
    provider_reference text,
    request            jsonb NOT NULL,
    resendable         boolean NOT NULL DEFAULT true,
    decline_code       text,
    raw_code           text,
    raw_text           text,
    raw_status         text,
    next_action_url    text,
    bank_details       jsonb,
    fee_minor          bigint NOT NULL DEFAULT 0,
    hold_expires_at    timestamptz,
    anomaly            text,
    sent_at            timestamptz NOT NULL,
    due_at             timestamptz,
    tries              integer NOT NULL DEFAULT 0,
    version            integer NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, attempt_id) REFERENCES attempt (tenant_id, id)
);
CREATE INDEX operation_payment ON operation (tenant_id, payment_id, id);
CREATE INDEX operation_due ON operation (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE evidence (
    tenant_id    uuid NOT NULL,
    id           text COLLATE "C" NOT NULL,
    payment_id   text COLLATE "C" NOT NULL,
    operation_id text COLLATE "C" NOT NULL,
    source       text NOT NULL
        CHECK (source IN ('answer', 'lookup', 'resend', 'webhook', 'settlement', 'person', 'engine')),
    finding      text NOT NULL,
    data         jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, operation_id) REFERENCES operation (tenant_id, id)
);
CREATE INDEX evidence_operation ON evidence (tenant_id, operation_id, id);

CREATE TABLE event (
    tenant_id   uuid NOT NULL,
    id          text COLLATE "C" NOT NULL,
    seq         bigint GENERATED ALWAYS AS IDENTITY,
    position    bigint,
    type        text COLLATE "C" NOT NULL,
    payment_id  text COLLATE "C",
    operation_id text COLLATE "C",
    customer_id text COLLATE "C",
    data        jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX event_position ON event (tenant_id, position) WHERE position IS NOT NULL;
CREATE INDEX event_unpublished ON event (seq) WHERE position IS NULL;

CREATE TABLE event_stream (
    tenant_id uuid PRIMARY KEY REFERENCES tenant (id),
    position  bigint NOT NULL CHECK (position >= 0)
);

CREATE TABLE ledger_transfer (
    tenant_id              uuid NOT NULL,
    transaction_id         text COLLATE "C" NOT NULL,
    line                   smallint NOT NULL CHECK (line > 0),
    phase                  text NOT NULL CHECK (phase = ANY ('{posted,pending,post,void}')),
    kind                   text NOT NULL,
    debit_account          text COLLATE "C" NOT NULL,
    credit_account         text COLLATE "C" NOT NULL,
    amount_minor           bigint NOT NULL CHECK (amount_minor > 0),
    currency               text NOT NULL CHECK (length(currency) = 3),
    pending_transaction_id text COLLATE "C",
    pending_line           smallint,
    payment_id             text COLLATE "C",
    created_at             timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, transaction_id, line),
    FOREIGN KEY (tenant_id, pending_transaction_id, pending_line)
        REFERENCES ledger_transfer (tenant_id, transaction_id, line),
    CHECK (debit_account <> credit_account),
    CHECK ((phase IN ('post', 'void')) = (pending_transaction_id IS NOT NULL)),
    CHECK ((pending_transaction_id IS NULL) = (pending_line IS NULL))
);
CREATE UNIQUE INDEX ledger_transfer_resolves_once
    ON ledger_transfer (tenant_id, pending_transaction_id, pending_line)
    WHERE pending_transaction_id IS NOT NULL;
CREATE INDEX ledger_transfer_payment ON ledger_transfer (tenant_id, payment_id)
    WHERE payment_id IS NOT NULL;

CREATE TABLE ledger_tail (
    tenant_id      uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, transaction_id)
);

CREATE TABLE ledger_rollup (
    tenant_id       uuid NOT NULL,
    account         text COLLATE "C" NOT NULL,
    currency        text NOT NULL CHECK (length(currency) = 3),
    debits_posted   bigint NOT NULL,
    credits_posted  bigint NOT NULL,
    debits_pending  bigint NOT NULL,
    credits_pending bigint NOT NULL,
    PRIMARY KEY (tenant_id, account, currency)
);
