-- Payments of several tenants, written by one message each way. Each group of rows is written under
-- its own tenant's scope, set right before it, so that the policies bind every row as ever; nothing
-- here runs with more rights than its caller. The planner is told that a batch is small: it must
-- not plan for it by scanning whole tables. A batch waits for nobody's lock for long. What follows
-- `ended_at` is the commit.
-- What is looked up is a scalar subquery, and no EXISTS: of that, a planner that is not told how
-- many rows come makes a hash of all that the tenant has. `:=` evaluates without a plan of its own.

-- Writes the payments of one tenant, whose scope is set, and says which keys were not taken.
CREATE FUNCTION open_part(tenant uuid, part jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    opened text[];
BEGIN
    WITH claimed AS (
        INSERT INTO idempotency_key
            (tenant_id, key, mutation, fingerprint, resource_id, created_at)
        SELECT tenant, c.key, c.mutation, c.fingerprint, c.resource_id, c.created_at
        FROM jsonb_to_recordset(part -> 'claims') AS c (key text, mutation text,
            fingerprint bytea, resource_id text, created_at timestamptz, customer_id text)
        WHERE c.customer_id IS NULL OR (
            SELECT true FROM customer
            WHERE customer.tenant_id = tenant AND customer.id = c.customer_id)
        ON CONFLICT (tenant_id, key) DO NOTHING
        RETURNING resource_id
    )
    SELECT coalesce(array_agg(resource_id), '{}') INTO opened FROM claimed;
    INSERT INTO payment (tenant_id,
        id, status, amount_minor, currency, capture_method, created_at, updated_at,
        customer_id, authorized_minor, captured_minor, voided_minor, refunded_minor,
        charged_back_minor, capture_reserved_minor, void_reserved_minor,
        refund_reserved_minor, method_kind, saved_payment_method_id, off_session,
        return_url, description, metadata, gateway, next_action_url, decline_code,
        anomalies, needs_review, conflicted, hold_expires_at, version)
    SELECT tenant,
        id, status, amount_minor, currency, capture_method, created_at, updated_at,
        customer_id, authorized_minor, captured_minor, voided_minor, refunded_minor,
        charged_back_minor, capture_reserved_minor, void_reserved_minor,
        refund_reserved_minor, method_kind, saved_payment_method_id, off_session,
        return_url, description, metadata, gateway, next_action_url, decline_code,
        anomalies, needs_review, conflicted, hold_expires_at, version
    FROM jsonb_populate_recordset(NULL::payment, part -> 'payments')
    WHERE id = ANY (opened);
    INSERT INTO attempt (tenant_id,
        id, payment_id, number, gateway, method, routing, created_at)
    SELECT tenant,
        id, payment_id, number, gateway, method, routing, created_at
    FROM jsonb_populate_recordset(NULL::attempt, part -> 'attempts')
    WHERE payment_id = ANY (opened);
    INSERT INTO operation (tenant_id,
        id, payment_id, attempt_id, kind, status, amount_minor, currency, gateway,
        provider_key, request, sent_at, created_at, updated_at, capture, final,
        released_minor, provider_reference, resendable, decline_code, raw_code, raw_text,
        raw_status, next_action_url, bank_details, fee_minor, hold_expires_at, anomaly, due_at, tries,
        version)
    SELECT tenant,
        id, payment_id, attempt_id, kind, status, amount_minor, currency, gateway,
        provider_key, request, sent_at, created_at, updated_at, capture, final,
        released_minor, provider_reference, resendable, decline_code, raw_code, raw_text,
        raw_status, next_action_url, bank_details, fee_minor, hold_expires_at, anomaly, due_at, tries,
        version
    FROM jsonb_populate_recordset(NULL::operation, part -> 'operations')
    WHERE payment_id = ANY (opened);
    INSERT INTO event (tenant_id,
        id, type, data, occurred_at, payment_id, operation_id, customer_id)
    SELECT tenant,
        id, type, data, occurred_at, payment_id, operation_id, customer_id
    FROM jsonb_populate_recordset(NULL::event, part -> 'events')
    WHERE payment_id = ANY (opened);
    RETURN opened;
END $$;

CREATE FUNCTION open_payments(given jsonb)
RETURNS TABLE (written text, ended_at timestamptz) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET lock_timeout = '200ms' AS $$
DECLARE
    part jsonb;
    tenant text;
BEGIN
    FOR part IN SELECT value FROM jsonb_array_elements(given) LOOP
        tenant := set_config('app.tenant_id', part ->> 'tenant_id', true);
        FOREACH written IN ARRAY open_part(tenant::uuid, part) LOOP
            ended_at := clock_timestamp();
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;

CREATE FUNCTION settle_payments(given jsonb)
RETURNS TABLE (written text, ended_at timestamptz) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET lock_timeout = '200ms' AS $$
DECLARE
    part jsonb;
    tenant uuid;
    settled text[];
    paid payment;
    asked operation;
BEGIN
    FOR part IN SELECT value FROM jsonb_array_elements(given) LOOP
        tenant := set_config('app.tenant_id', part ->> 'tenant_id', true)::uuid;
        settled := '{}';
        FOR number IN 0 .. jsonb_array_length(part -> 'payments') - 1 LOOP
            paid := jsonb_populate_record(NULL::payment, part -> 'payments' -> number);
            UPDATE payment SET
            status = paid.status, authorized_minor = paid.authorized_minor,
            captured_minor = paid.captured_minor, voided_minor = paid.voided_minor,
            refunded_minor = paid.refunded_minor, charged_back_minor = paid.charged_back_minor,
            capture_reserved_minor = paid.capture_reserved_minor,
            void_reserved_minor = paid.void_reserved_minor,
            refund_reserved_minor = paid.refund_reserved_minor,
            next_action_url = paid.next_action_url, decline_code = paid.decline_code,
            anomalies = paid.anomalies, needs_review = paid.needs_review, conflicted = paid.conflicted,
            hold_expires_at = paid.hold_expires_at, version = paid.version, updated_at = paid.updated_at
            WHERE tenant_id = tenant AND id = paid.id AND version = paid.version - 1;
            IF FOUND THEN
                settled := settled || paid.id;
            END IF;
        END LOOP;
        FOR number IN 0 .. jsonb_array_length(part -> 'operations') - 1 LOOP
            asked := jsonb_populate_record(NULL::operation, part -> 'operations' -> number);
            CONTINUE WHEN NOT asked.payment_id = ANY (settled);
            UPDATE operation SET
            status = asked.status, amount_minor = asked.amount_minor, final = asked.final,
            provider_reference = asked.provider_reference,
            decline_code = asked.decline_code, raw_code = asked.raw_code, raw_text = asked.raw_text,
            raw_status = asked.raw_status, next_action_url = asked.next_action_url, bank_details = asked.bank_details,
            fee_minor = asked.fee_minor, hold_expires_at = asked.hold_expires_at, anomaly = asked.anomaly,
            released_minor = asked.released_minor, due_at = asked.due_at, version = asked.version,
            updated_at = asked.updated_at
            WHERE tenant_id = tenant AND id = asked.id AND version = asked.version - 1;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'an operation has moved on without its payment'
                    USING ERRCODE = 'serialization_failure';
            END IF;
        END LOOP;
        INSERT INTO event (tenant_id,
            id, type, data, occurred_at, payment_id, operation_id, customer_id)
        SELECT tenant,
            id, type, data, occurred_at, payment_id, operation_id, customer_id
        FROM jsonb_populate_recordset(NULL::event, part -> 'events')
        WHERE payment_id = ANY (settled);
        INSERT INTO ledger_transfer (tenant_id,
            transaction_id, line, phase, kind, debit_account, credit_account, amount_minor,
            currency, pending_transaction_id, pending_line, payment_id, created_at)
        SELECT tenant,
            transaction_id, line, phase, kind, debit_account, credit_account, amount_minor,
            currency, pending_transaction_id, pending_line, payment_id, created_at
        FROM jsonb_populate_recordset(NULL::ledger_transfer, part -> 'transfers')
        WHERE payment_id = ANY (settled);
        INSERT INTO ledger_tail (tenant_id, transaction_id)
        SELECT tenant, transaction_id
        FROM jsonb_populate_recordset(NULL::ledger_transfer, part -> 'transfers')
        WHERE payment_id = ANY (settled) AND line = 1;
        IF jsonb_array_length(part -> 'decisions') > 0 THEN
            INSERT INTO fraud_decision (tenant_id,
                payment_id, number, stage, verdict, degraded, document, decided_at)
            SELECT tenant,
                payment_id, number, stage, verdict, degraded, document, decided_at
            FROM jsonb_populate_recordset(NULL::fraud_decision, part -> 'decisions')
            WHERE payment_id = ANY (settled)
            ON CONFLICT (tenant_id, payment_id, number, stage) DO NOTHING;
        END IF;
        FOREACH written IN ARRAY settled LOOP
            ended_at := clock_timestamp();
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;

-- Places events, with the worker's rights: a row for each tenant, or one of nobody where another
-- relay is at work. What follows the lock sees what was committed before it was had: each statement
-- of a volatile function has a snapshot of its own.
CREATE FUNCTION publish_events(most integer)
RETURNS TABLE (of_tenant uuid, placed integer) LANGUAGE plpgsql AS $$
BEGIN
    -- An arbitrary constant that names the relay's lease among advisory locks.
    IF NOT pg_try_advisory_xact_lock(7302013225) THEN
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN QUERY
    WITH waiting AS (
        SELECT tenant_id, id, seq FROM event WHERE position IS NULL ORDER BY seq LIMIT most
    ), counted AS (
        SELECT tenant_id, count(*) AS n FROM waiting GROUP BY tenant_id
    ), heads AS (
        INSERT INTO event_stream AS stream (tenant_id, position)
        SELECT tenant_id, n FROM counted ORDER BY tenant_id
        ON CONFLICT (tenant_id) DO UPDATE SET position = stream.position + excluded.position
        RETURNING tenant_id, position
    ), ranked AS (
        SELECT waiting.tenant_id, waiting.id, heads.position - counted.n
               + row_number() OVER (PARTITION BY waiting.tenant_id ORDER BY waiting.seq) AS position
        FROM waiting JOIN counted USING (tenant_id) JOIN heads USING (tenant_id)
    ), told AS (
        UPDATE event SET position = ranked.position
        FROM ranked
        WHERE event.tenant_id = ranked.tenant_id AND event.id = ranked.id AND event.position IS NULL
        RETURNING event.tenant_id
    )
    SELECT tenant_id, count(*)::integer FROM told GROUP BY tenant_id;
END $$;
