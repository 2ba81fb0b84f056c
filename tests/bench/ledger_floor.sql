-- Frozen: what any double-entry ledger must at least write, two rows in one commit.
\set id random(1, 9000000000000000)
\set amount random(100, 100000)
INSERT INTO floor_entry (transfer_id, account, amount_minor, created_at) VALUES (:id, 'psp_receivable', :amount, now()), (:id, 'merchant_payable', -:amount, now());
