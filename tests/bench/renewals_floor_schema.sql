CREATE TABLE floor_subscription (
    id bigint PRIMARY KEY, period_start timestamptz, period_end timestamptz, due_at timestamptz);
INSERT INTO floor_subscription
SELECT n, now() - interval '1 month', now(), now() FROM generate_series(1, 20000) AS n;
CREATE INDEX ON floor_subscription (due_at, id);
CREATE TABLE floor_counter (last bigint NOT NULL);
INSERT INTO floor_counter VALUES (0);
CREATE TABLE floor_invoice (
    id uuid PRIMARY KEY, number bigint UNIQUE, document bytea, total bigint, status text,
    created_at timestamptz);
CREATE TABLE floor_collection (id uuid PRIMARY KEY, state jsonb, due_at timestamptz);
CREATE INDEX ON floor_collection (due_at, id);
CREATE TABLE floor_charge (id uuid PRIMARY KEY, trigger text, made_at timestamptz);
CREATE TABLE floor_event (
    id uuid PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY, type text, data jsonb,
    occurred_at timestamptz);
CREATE INDEX ON floor_event (seq);
