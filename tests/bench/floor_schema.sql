-- The floor's own tables: what any payment service must at least write, without isolation.
CREATE TABLE floor_claim (key text PRIMARY KEY, payment_id bigint NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE floor_payment (
    id bigint PRIMARY KEY, tenant int NOT NULL, status text NOT NULL, amount_minor bigint NOT NULL,
    currency text NOT NULL, captured_minor bigint NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE floor_attempt (
    id bigint PRIMARY KEY, payment_id bigint NOT NULL REFERENCES floor_payment (id),
    gateway text NOT NULL, status text NOT NULL, reference text, created_at timestamptz NOT NULL);
CREATE TABLE floor_ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payment_id bigint NOT NULL,
    account text NOT NULL, amount_minor bigint NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE floor_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payment_id bigint NOT NULL,
    type text NOT NULL, data jsonb NOT NULL, created_at timestamptz NOT NULL);
