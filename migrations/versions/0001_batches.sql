-- Payments of several tenants, written by one message each way. Each row is written under its own
-- tenant's scope: `{parts}` goes through the tenants and sets the scope before it comes to their
-- rows, and the policies of what is written here compare each row with the scope that holds when
-- its turn comes. A row of another tenant than the scope's is refused as ever; nothing here runs
-- with more rights than its caller. The planner is told that a batch is small: it must not plan for
-- it by scanning whole tables. A batch waits for nobody's lock for long. What follows `ended_at` is
-- the commit.
-- A row leaves out what equals the record's default, as most of a new payment does: to read it costs
-- more than to fill it in.
-- What is looked up is a scalar subquery, and no EXISTS: of that, a planner that is not told how
-- many rows come makes a hash of all that the tenant has.

-- Writes the payments of a batch, and says which keys were not taken.
CREATE FUNCTION open_rows(given jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    opened text[];
BEGIN
    WITH claimed AS (
        INSERT INTO idempotency_key
            (tenant_id, key, mutation, fingerprint, resource_id, created_at)
        SELECT scope::uuid, c.key, c.mutation, c.fingerprint, c.resource_id, c.created_at
        FROM {parts}, jsonb_to_recordset(part -> 'claims') AS c (key text, mutation text,
            fingerprint bytea, resource_id text, created_at timestamptz, customer_id text)
        WHERE c.customer_id IS NULL OR (
            SELECT true FROM customer
            WHERE customer.tenant_id = scope::uuid AND customer.id = c.customer_id)
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
    SELECT scope::uuid,
        id, status, amount_minor, currency, capture_method, created_at, updated_at,
        customer_id, coalesce(authorized_minor, 0), coalesce(captured_minor, 0),
        coalesce(voided_minor, 0), coalesce(refunded_minor, 0), coalesce(charged_back_minor, 0),
        coalesce(capture_reserved_minor, 0), coalesce(void_reserved_minor, 0),
        coalesce(refund_reserved_minor, 0), method_kind, saved_payment_method_id,
        coalesce(off_session, false), return_url, description, coalesce(metadata, '{}'),
        gateway, next_action_url, decline_code, coalesce(anomalies, '{}'),
        coalesce(needs_review, false), coalesce(conflicted, false), hold_expires_at,
        coalesce(version, 1)
    FROM {parts}, jsonb_populate_recordset(NULL::payment, part -> 'payments')
    WHERE id = ANY (opened);
    INSERT INTO attempt (tenant_id,
        id, payment_id, number, gateway, method, routing, created_at)
    SELECT scope::uuid,
        id, payment_id, number, gateway, method, routing, created_at
    FROM {parts}, jsonb_populate_recordset(NULL::attempt, part -> 'attempts')
    WHERE payment_id = ANY (opened);
    INSERT INTO operation (tenant_id,
        id, payment_id, attempt_id, kind, status, amount_minor, currency, gateway,
        provider_key, request, sent_at, created_at, updated_at, capture, final,
        released_minor, provider_reference, resendable, decline_code, raw_code, raw_text,
        raw_status, next_action_url, bank_details, fee_minor, hold_expires_at, anomaly, due_at,
        tries, version)
    SELECT scope::uuid,
        id, payment_id, attempt_id, kind, status, amount_minor, currency, gateway,
        provider_key, request, sent_at, created_at, updated_at, coalesce(capture, false),
        coalesce(final, false), coalesce(released_minor, 0), provider_reference,
        coalesce(resendable, true), decline_code, raw_code, raw_text, raw_status,
        next_action_url, bank_details, coalesce(fee_minor, 0), hold_expires_at, anomaly, due_at,
        coalesce(tries, 0), coalesce(version, 1)
    FROM {parts}, jsonb_populate_recordset(NULL::operation, part -> 'operations')
    WHERE payment_id = ANY (opened);
    INSERT INTO event (tenant_id,
        id, type, data, occurred_at, payment_id, operation_id, customer_id)
    SELECT scope::uuid,
        id, type, data, occurred_at, payment_id, operation_id, customer_id
    FROM {parts}, jsonb_populate_recordset(NULL::event, part -> 'events')
    WHERE payment_id = ANY (opened);
    RETURN opened;
END $$;

CREATE FUNCTION open_payments(given jsonb)
RETURNS TABLE (written text, ended_at timestamptz) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_material = off SET lock_timeout = '200ms' AS $$
BEGIN
    FOREACH written IN ARRAY open_rows(given) LOOP
        ended_at := clock_timestamp();
        RETURN NEXT;
    END LOOP;
END $$;

-- Moves payments and their operations on, and says which had not moved on before. Each row is there:
-- it is found as a conflict, because a join would let the planner look before the scope is set. An
-- operation's request is not told again.
CREATE FUNCTION settle_payments(given jsonb)
RETURNS TABLE (written text, ended_at timestamptz) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_material = off SET lock_timeout = '200ms' AS $$
DECLARE
    settled text[];
    moved bigint;
    is_strange boolean;
BEGIN
    WITH told AS (
        INSERT INTO payment AS was (tenant_id,
            id, status, amount_minor, currency, capture_method, created_at, updated_at,
            customer_id, authorized_minor, captured_minor, voided_minor, refunded_minor,
            charged_back_minor, capture_reserved_minor, void_reserved_minor,
            refund_reserved_minor, method_kind, saved_payment_method_id, off_session,
            return_url, description, metadata, gateway, next_action_url, decline_code,
            anomalies, needs_review, conflicted, hold_expires_at, version)
        SELECT scope::uuid,
            id, status, amount_minor, currency, capture_method, created_at, updated_at,
            customer_id, coalesce(authorized_minor, 0), coalesce(captured_minor, 0),
            coalesce(voided_minor, 0), coalesce(refunded_minor, 0), coalesce(charged_back_minor, 0),
            coalesce(capture_reserved_minor, 0), coalesce(void_reserved_minor, 0),
            coalesce(refund_reserved_minor, 0), method_kind, saved_payment_method_id,
            coalesce(off_session, false), return_url, description, coalesce(metadata, '{}'),
            gateway, next_action_url, decline_code, coalesce(anomalies, '{}'),
            coalesce(needs_review, false), coalesce(conflicted, false), hold_expires_at,
            coalesce(version, 1)
        FROM {parts}, jsonb_populate_recordset(NULL::payment, part -> 'payments')
        ON CONFLICT (tenant_id, id) DO UPDATE SET
            status = excluded.status, authorized_minor = excluded.authorized_minor,
            captured_minor = excluded.captured_minor, voided_minor = excluded.voided_minor,
            refunded_minor = excluded.refunded_minor,
            charged_back_minor = excluded.charged_back_minor,
            capture_reserved_minor = excluded.capture_reserved_minor,
            void_reserved_minor = excluded.void_reserved_minor,
            refund_reserved_minor = excluded.refund_reserved_minor,
            next_action_url = excluded.next_action_url, decline_code = excluded.decline_code,
            anomalies = excluded.anomalies, needs_review = excluded.needs_review,
            conflicted = excluded.conflicted, hold_expires_at = excluded.hold_expires_at,
            version = excluded.version, updated_at = excluded.updated_at
        WHERE was.version = excluded.version - 1
        RETURNING was.id, was.xmax = 0 AS is_new  -- which a row that was changed never has
    )
    SELECT coalesce(array_agg(id), '{}'), bool_or(is_new) INTO settled, is_strange FROM told;
    INSERT INTO operation AS was (tenant_id,
        id, payment_id, attempt_id, kind, status, amount_minor, currency, gateway,
        provider_key, request, sent_at, created_at, updated_at, capture, final,
        released_minor, provider_reference, resendable, decline_code, raw_code, raw_text,
        raw_status, next_action_url, bank_details, fee_minor, hold_expires_at, anomaly, due_at,
        tries, version)
    SELECT scope::uuid,
        id, payment_id, attempt_id, kind, status, amount_minor, currency, gateway,
        provider_key, request, sent_at, created_at, updated_at, coalesce(capture, false),
        coalesce(final, false), coalesce(released_minor, 0), provider_reference,
        coalesce(resendable, true), decline_code, raw_code, raw_text, raw_status,
        next_action_url, bank_details, coalesce(fee_minor, 0), hold_expires_at, anomaly, due_at,
        coalesce(tries, 0), coalesce(version, 1)
    FROM {parts}, jsonb_populate_recordset(NULL::operation, part -> 'operations')
    WHERE payment_id = ANY (settled)
    ON CONFLICT (tenant_id, id) DO UPDATE SET
        status = excluded.status, amount_minor = excluded.amount_minor, final = excluded.final,
        provider_reference = excluded.provider_reference, decline_code = excluded.decline_code,
        raw_code = excluded.raw_code, raw_text = excluded.raw_text,
        raw_status = excluded.raw_status, next_action_url = excluded.next_action_url,
        bank_details = excluded.bank_details, fee_minor = excluded.fee_minor,
        hold_expires_at = excluded.hold_expires_at, anomaly = excluded.anomaly,
        released_minor = excluded.released_minor, due_at = excluded.due_at,
        version = excluded.version, updated_at = excluded.updated_at
    WHERE was.version = excluded.version - 1;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF is_strange OR moved <> cardinality(settled) THEN
        RAISE EXCEPTION 'an operation has moved on without its payment'
            USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO event (tenant_id,
        id, type, data, occurred_at, payment_id, operation_id, customer_id)
    SELECT scope::uuid,
        id, type, data, occurred_at, payment_id, operation_id, customer_id
    FROM {parts}, jsonb_populate_recordset(NULL::event, part -> 'events')
    WHERE payment_id = ANY (settled);
    INSERT INTO ledger_transfer (tenant_id,
        transaction_id, line, phase, kind, debit_account, credit_account, amount_minor,
        currency, pending_transaction_id, pending_line, payment_id, created_at)
    SELECT scope::uuid,
        transaction_id, line, phase, kind, debit_account, credit_account, amount_minor,
        currency, pending_transaction_id, pending_line, payment_id, created_at
    FROM {parts}, jsonb_populate_recordset(NULL::ledger_transfer, part -> 'transfers')
    WHERE payment_id = ANY (settled);
    INSERT INTO ledger_tail (tenant_id, transaction_id)
    SELECT scope::uuid, t.transaction_id
    FROM {parts}, jsonb_to_recordset(part -> 'transfers')
        AS t (transaction_id text, line integer, payment_id text)
    WHERE t.payment_id = ANY (settled) AND t.line = 1;
    IF given @? '$[*].decisions[0]' THEN
        INSERT INTO fraud_decision (tenant_id,
            payment_id, number, stage, verdict, degraded, document, decided_at)
        SELECT scope::uuid,
            payment_id, number, stage, verdict, degraded, document, decided_at
        FROM {parts}, jsonb_populate_recordset(NULL::fraud_decision, part -> 'decisions')
        WHERE payment_id = ANY (settled)
        ON CONFLICT (tenant_id, payment_id, number, stage) DO NOTHING;
    END IF;
    FOREACH written IN ARRAY settled LOOP
        ended_at := clock_timestamp();
        RETURN NEXT;
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
