-- Frozen: the least that a payment needs, in two transactions and ten round trips of plain SQL.
-- It is written by hand and is not derived from the engine's own statements.
\set id random(1, 9000000000000000)
\set tenant random(1, 20)
\set amount random(100, 100000)
BEGIN;
INSERT INTO floor_claim VALUES ('k' || :id, :id, now());
INSERT INTO floor_payment VALUES (:id, :tenant, 'PROCESSING', :amount, 'EUR', 0, now());
INSERT INTO floor_attempt VALUES (:id, :id, 'sandbox', 'sending', NULL, now());
COMMIT;
BEGIN \; UPDATE floor_attempt SET status = 'succeeded', reference = 'r' || :id WHERE id = :id;
UPDATE floor_payment SET status = 'CAPTURED', captured_minor = :amount WHERE id = :id;
INSERT INTO floor_ledger (payment_id, account, amount_minor, created_at) VALUES (:id, 'psp_receivable', :amount, now()), (:id, 'merchant_payable', -:amount, now());
INSERT INTO floor_event (payment_id, type, data, created_at) VALUES (:id, 'payment.captured', '{"status": "CAPTURED"}', now());
COMMIT;
