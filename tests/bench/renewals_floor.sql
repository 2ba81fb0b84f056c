-- The least that fifty renewals need in one transaction, written by hand, without isolation between
-- tenants: the invoices with their numbers, collection and its first charge, two events each, and
-- the subscriptions moved on.
\set first random(1, 19950)
BEGIN;
UPDATE floor_subscription SET period_start = period_end, period_end = period_end + interval '1 month',
    due_at = due_at + interval '1 month'
WHERE id BETWEEN :first AND :first + 49;
INSERT INTO floor_collection (id, state, due_at)
SELECT gen_random_uuid(), '{"phase": "charging", "kind": "renewal"}', now()
FROM generate_series(1, 50);
INSERT INTO floor_charge (id, trigger, made_at)
SELECT gen_random_uuid(), 'renewal', now() FROM generate_series(1, 50);
INSERT INTO floor_event (id, type, data, occurred_at)
SELECT gen_random_uuid(), 'subscription.renewed', '{"status": "active"}', now()
FROM generate_series(1, 50);
WITH counted AS (
    UPDATE floor_counter SET last = last + 50 RETURNING last - 50 AS base
), issued AS (
    INSERT INTO floor_invoice (id, number, document, total, status, created_at)
    SELECT gen_random_uuid(), base + place, repeat('x', 1200)::bytea, 1900, 'open', now()
    FROM counted, generate_series(1, 50) AS place
    RETURNING id, number
)
INSERT INTO floor_event (id, type, data, occurred_at)
SELECT gen_random_uuid(), 'invoice.finalized', jsonb_build_object('number', number), now()
FROM issued;
COMMIT;
