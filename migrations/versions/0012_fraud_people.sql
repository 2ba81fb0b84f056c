-- What people do about fraud. An entry is what a person put on a list; its keys are what the engine
-- looks for, a row for each value, and are gone with the entry's end.

CREATE TABLE fraud_list_entry (
    tenant_id      uuid NOT NULL REFERENCES tenant (id),
    id             text COLLATE "C" NOT NULL,
    list           text NOT NULL CHECK (list IN ('block', 'allow')),
    kind           text NOT NULL CHECK (kind IN (
        'card', 'country', 'customer', 'device', 'email', 'email_domain', 'ip', 'issuer_range',
        'seller')),
    label          text NOT NULL,
    key            text COLLATE "C" NOT NULL,
    reason         text NOT NULL,
    person         text NOT NULL,
    actor          text NOT NULL,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz,
    removed_at     timestamptz,
    removed_by     text,
    removed_actor  text,
    removed_reason text,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX fraud_list_entry_once ON fraud_list_entry (tenant_id, list, key)
    WHERE removed_at IS NULL;

CREATE TABLE fraud_list_key (
    tenant_id  uuid NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    value      text COLLATE "C" NOT NULL,
    list       text NOT NULL CHECK (list IN ('block', 'allow')),
    entry_id   text COLLATE "C" NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (tenant_id, kind, value, list, entry_id),
    FOREIGN KEY (tenant_id, entry_id) REFERENCES fraud_list_entry (tenant_id, id)
);
CREATE INDEX fraud_list_key_entry ON fraud_list_key (tenant_id, entry_id);

CREATE TABLE fraud_setting (
    tenant_id  uuid NOT NULL REFERENCES tenant (id),
    version    integer NOT NULL CHECK (version > 0),
    document   jsonb NOT NULL,
    reason     text NOT NULL,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE fraud_slot (
    tenant_id uuid NOT NULL REFERENCES tenant (id),
    begins_at timestamptz NOT NULL,
    document  jsonb NOT NULL,
    PRIMARY KEY (tenant_id, begins_at)
);

-- Which slot of the tenant is counted next, and from when on.
CREATE TABLE fraud_watch (
    tenant_id    uuid NOT NULL REFERENCES tenant (id),
    next_slot_at timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id)
);
CREATE INDEX fraud_watch_due ON fraud_watch (due_at);

CREATE TABLE fraud_alert (
    tenant_id uuid NOT NULL REFERENCES tenant (id),
    id        text COLLATE "C" NOT NULL,
    kind      text NOT NULL CHECK (kind IN (
        'success_rate', 'decline_mix', 'stop_rate', 'fraud_rate', 'score_shift', 'feature_shift',
        'rule_errors', 'queue_age')),
    subject   text COLLATE "C" NOT NULL,
    reading   jsonb NOT NULL,
    opened_at timestamptz NOT NULL,
    told_at   timestamptz NOT NULL,
    closed_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX fraud_alert_open ON fraud_alert (tenant_id, kind, subject)
    WHERE closed_at IS NULL;

ALTER TABLE review
    ADD COLUMN kind text NOT NULL DEFAULT 'flag' CHECK (kind IN ('flag', 'fraud')),
    ADD COLUMN decide_by timestamptz,
    ADD COLUMN decision text CHECK (decision IN ('approved', 'rejected'));
CREATE INDEX review_decide_by ON review (decide_by) WHERE decide_by IS NOT NULL;
CREATE INDEX review_waiting ON review (tenant_id, opened_at) WHERE closed_at IS NULL;

ALTER TABLE review_action DROP CONSTRAINT review_action_kind_check;
ALTER TABLE review_action ADD CONSTRAINT review_action_kind_check
    CHECK (kind IN ('claimed', 'released', 'settled', 'closed', 'decided'));

-- What was decided between two instants: slots, summaries and replays read by it.
CREATE INDEX fraud_decision_decided ON fraud_decision (tenant_id, decided_at);
CREATE INDEX fraud_label_observed ON fraud_label (tenant_id, observed_at);
