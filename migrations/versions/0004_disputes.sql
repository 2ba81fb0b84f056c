-- Disputes, their evidence and what waits for a person.
-- A dispute's id is that of its operation, which moves the payment's amounts; a dispute itself is
-- the fold of its reports and steps. A review's id is made of its payment's: there is one for each.

CREATE TABLE dispute (
    tenant_id          uuid NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    payment_id         text COLLATE "C" NOT NULL,
    gateway            text COLLATE "C" NOT NULL,
    provider_reference text NOT NULL,
    status             text NOT NULL
        CHECK (status IN ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'WON', 'LOST')),
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    currency           text NOT NULL CHECK (length(currency) = 3),
    reason             text NOT NULL,
    fee_minor          bigint NOT NULL CHECK (fee_minor >= 0),
    fee_returned       boolean NOT NULL,
    evidence_due_at    timestamptz,
    remind_at          timestamptz,
    version            integer NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, gateway, provider_reference),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id)
);
CREATE INDEX dispute_payment ON dispute (tenant_id, payment_id);
CREATE INDEX dispute_remind ON dispute (remind_at) WHERE remind_at IS NOT NULL;

CREATE TABLE dispute_report (
    tenant_id       uuid NOT NULL,
    dispute_id      text COLLATE "C" NOT NULL,
    event_id        text COLLATE "C" NOT NULL,
    status          text NOT NULL
        CHECK (status IN ('needs_response', 'under_review', 'won', 'lost', 'unmodelled')),
    amount_minor    bigint NOT NULL,
    currency        text NOT NULL,
    reason          text NOT NULL,
    fee_minor       bigint NOT NULL,
    fee_returned    boolean NOT NULL,
    evidence_due_at timestamptz,
    occurred_at     timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, dispute_id, event_id),
    FOREIGN KEY (tenant_id, dispute_id) REFERENCES dispute (tenant_id, id)
);

CREATE TABLE dispute_evidence (
    tenant_id  uuid NOT NULL,
    id         text COLLATE "C" NOT NULL,
    dispute_id text COLLATE "C" NOT NULL,
    category   text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    sealed     bytea NOT NULL,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, dispute_id) REFERENCES dispute (tenant_id, id)
);
CREATE INDEX dispute_evidence_dispute ON dispute_evidence (tenant_id, dispute_id, id);

CREATE TABLE dispute_step (
    tenant_id    uuid NOT NULL,
    id           text COLLATE "C" NOT NULL,
    dispute_id   text COLLATE "C" NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('submit_evidence', 'accept_dispute')),
    status       text NOT NULL CHECK (status IN
        ('sending', 'unknown', 'succeeded', 'declined', 'not_sent', 'abandoned')),
    evidence_ids text[] NOT NULL,
    raw_code     text,
    raw_text     text,
    actor        text NOT NULL,
    sent_at      timestamptz NOT NULL,
    due_at       timestamptz,
    tries        integer NOT NULL DEFAULT 0,
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, dispute_id) REFERENCES dispute (tenant_id, id)
);
CREATE INDEX dispute_step_dispute ON dispute_step (tenant_id, dispute_id, id);
CREATE INDEX dispute_step_due ON dispute_step (due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX dispute_step_one_at_a_time ON dispute_step (tenant_id, dispute_id)
    WHERE status IN ('sending', 'unknown');

CREATE TABLE review (
    tenant_id     uuid NOT NULL,
    id            text COLLATE "C" NOT NULL,
    payment_id    text COLLATE "C" NOT NULL,
    opened_at     timestamptz NOT NULL,
    claimed_by    text,
    claimed_actor text,
    claimed_until timestamptz,
    closed_by     text,
    closed_actor  text,
    closed_at     timestamptz,
    version       integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, payment_id),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payment (tenant_id, id)
);
CREATE INDEX review_open ON review (tenant_id, id) WHERE closed_at IS NULL;

CREATE TABLE review_action (
    tenant_id    uuid NOT NULL,
    id           text COLLATE "C" NOT NULL,
    review_id    text COLLATE "C" NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('claimed', 'released', 'settled', 'closed')),
    person       text NOT NULL,
    actor        text NOT NULL,
    reason       text NOT NULL,
    operation_id text COLLATE "C",
    data         jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, review_id) REFERENCES review (tenant_id, id),
    FOREIGN KEY (tenant_id, operation_id) REFERENCES operation (tenant_id, id)
);
CREATE INDEX review_action_review ON review_action (tenant_id, review_id, id);
