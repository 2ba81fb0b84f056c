-- Payments as the engine leaves them, numbers $1 up to $2, dealt to the tenants of $3 in turn.
-- Ids sort before those that the engine makes, as those of earlier days do.
-- key
INSERT INTO idempotency_key (tenant_id, key, mutation, fingerprint, resource_id, created_at)
SELECT ($3::uuid[])[1 + n % cardinality($3::uuid[])], 'grown-' || n, 'createPayment',
       sha256(n::text::bytea), 'pay_0' || lpad(n::text, 25, '0'), $4::timestamptz
FROM generate_series($1::bigint, $2::bigint) n;
-- payment
INSERT INTO payment (tenant_id, id, status, amount_minor, currency, capture_method,
                     authorized_minor, captured_minor, method_kind, gateway, version,
                     created_at, updated_at)
SELECT ($3::uuid[])[1 + n % cardinality($3::uuid[])], 'pay_0' || lpad(n::text, 25, '0'),
       'CAPTURED', 1000 + n % 5000, 'EUR', 'AUTOMATIC', 1000 + n % 5000, 1000 + n % 5000,
       'card', 'sandbox', 2, $4::timestamptz, $4::timestamptz
FROM generate_series($1::bigint, $2::bigint) n;
-- attempt
INSERT INTO attempt (tenant_id, id, payment_id, number, gateway, method, routing, created_at)
SELECT ($3::uuid[])[1 + n % cardinality($3::uuid[])], 'att_0' || lpad(n::text, 25, '0'),
       'pay_0' || lpad(n::text, 25, '0'), 1, 'sandbox', '{"kind": "card", "saved": false}',
       '{"rule": "first_that_supports", "passed_over": {}}', $4::timestamptz
FROM generate_series($1::bigint, $2::bigint) n;
-- operation
INSERT INTO operation (tenant_id, id, payment_id, attempt_id, kind, status, amount_minor, currency,
                       capture, gateway, provider_key, provider_reference, request, version,
                       sent_at, created_at, updated_at)
SELECT ($3::uuid[])[1 + n % cardinality($3::uuid[])], 'op_0' || lpad(n::text, 25, '0'),
       'pay_0' || lpad(n::text, 25, '0'), 'att_0' || lpad(n::text, 25, '0'), 'authorize',
       'succeeded', 1000 + n % 5000, 'EUR', true, 'sandbox', 'op_0' || lpad(n::text, 25, '0'),
       'sbx_' || md5(n::text),
       jsonb_build_object('key', 'op_0' || lpad(n::text, 25, '0'), 'capture', true,
                          'amount', jsonb_build_object('minor', 1000 + n % 5000, 'currency', 'EUR'),
                          'payment_method', '{"kind": "card", "token": "tok_visa"}'::jsonb),
       2, $4::timestamptz, $4::timestamptz, $4::timestamptz
FROM generate_series($1::bigint, $2::bigint) n;
-- event
WITH made AS (
    SELECT n, step, ($3::uuid[])[1 + n % cardinality($3::uuid[])] AS tenant_id,
           2 * (n / cardinality($3::uuid[]) - $1::bigint / cardinality($3::uuid[])) + step AS rank
    FROM generate_series($1::bigint, $2::bigint) n, generate_series(1, 2) step
), heads AS (
    SELECT tenant_id, max(position) AS position FROM event_stream GROUP BY tenant_id
)
INSERT INTO event (tenant_id, id, position, type, payment_id, operation_id, data, occurred_at)
SELECT made.tenant_id, 'evt_0' || lpad((2 * n + step)::text, 25, '0'),
       coalesce(heads.position, 0) + made.rank,
       CASE step WHEN 1 THEN 'payment.created' ELSE 'payment.captured' END,
       'pay_0' || lpad(n::text, 25, '0'), 'op_0' || lpad(n::text, 25, '0'),
       jsonb_build_object('status', 'CAPTURED', 'amount_minor', 1000 + n % 5000, 'currency', 'EUR',
                          'authorized_minor', 1000 + n % 5000, 'captured_minor', 1000 + n % 5000,
                          'voided_minor', 0, 'refunded_minor', 0, 'version', step),
       $4::timestamptz
FROM made LEFT JOIN heads USING (tenant_id);
-- head
INSERT INTO event_stream AS stream (tenant_id, position)
SELECT ($3::uuid[])[1 + n % cardinality($3::uuid[])], 2 * count(*)
FROM generate_series($1::bigint, $2::bigint) n GROUP BY 1
ON CONFLICT (tenant_id) DO UPDATE SET position = stream.position + excluded.position;
-- transfer
INSERT INTO ledger_transfer (tenant_id, transaction_id, line, phase, kind, debit_account,
                             credit_account, amount_minor, currency, payment_id, created_at)
SELECT ($3::uuid[])[1 + n % cardinality($3::uuid[])], 'op_0' || lpad(n::text, 25, '0') || ':a',
       line, 'posted', 'capture', 'psp_receivable:sandbox', 'merchant_payable',
       1000 + n % 5000, 'EUR', 'pay_0' || lpad(n::text, 25, '0'), $4::timestamptz
FROM generate_series($1::bigint, $2::bigint) n, generate_series(1, 2) line;
-- attempted
INSERT INTO fraud_event (tenant_id, payment_id, number, at, base_minor, declined, card, device)
SELECT ($3::uuid[])[1 + n % cardinality($3::uuid[])], 'pay_0' || lpad(n::text, 25, '0'), 1,
       extract(epoch FROM $4::timestamptz)::bigint * 1000000 + n, 1000 + n % 5000, false,
       'card-' || n / cardinality($3::uuid[]) / 8, 'device-' || n / cardinality($3::uuid[]) / 8
FROM generate_series($1::bigint, $2::bigint) n;
-- decision
INSERT INTO fraud_decision (tenant_id, payment_id, number, stage, verdict, degraded, document,
                            decided_at)
SELECT ($3::uuid[])[1 + n % cardinality($3::uuid[])], 'pay_0' || lpad(n::text, 25, '0'), 1,
       'pre_auth', 'abstain', false,
       jsonb_build_object(
           'by', '["card_testing", "card_velocity", "country_mismatch", "decline_streak"]'::jsonb,
           'took_us', 140, 'context', jsonb_build_object(
               'as_of', $4::timestamptz, 'stage', 'pre_auth', 'currency', 'EUR',
               'amount_minor', 1000 + n % 5000, 'base_minor', 1000 + n % 5000,
               'features', '{"card.count.1h": 0, "device.count.1h.declined": 0}'::jsonb)),
       $4::timestamptz
FROM generate_series($1::bigint, $2::bigint) n;
