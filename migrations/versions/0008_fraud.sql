-- @@ tables
CREATE TABLE fraud_key (
    tenant_id  uuid NOT NULL REFERENCES tenant (id),
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id)
);
-- One attempt to pay. `at` is its place among those of its entities, in microseconds since 1970.
-- It and the decision do not refer to `tenant`, as no row of a payment's own path does: see 0001.
-- What the issuer says follows; there is room for it beside the row.
CREATE TABLE fraud_event (
    tenant_id       uuid NOT NULL,
    payment_id      text COLLATE "C" NOT NULL,
    number          integer NOT NULL CHECK (number > 0),
    at              bigint NOT NULL,
    base_minor      bigint NOT NULL,
    declined        boolean,
    card            text COLLATE "C",
    customer        text COLLATE "C",
    device          text COLLATE "C",
    email           text COLLATE "C",
    ip              text COLLATE "C",
    issuer_range    text COLLATE "C",
    seller          text COLLATE "C",
    billing_country text,
    currency        text,
    email_domain    text,
    ip_country      text,
    issuer_country  text,
    method_kind     text,
    ship_country    text,
    PRIMARY KEY (tenant_id, payment_id, number)
) WITH (fillfactor = 85);
-- What became known of an attempt; a later label ends an earlier one at `superseded_at`.
CREATE TABLE fraud_label (
    tenant_id     uuid NOT NULL REFERENCES tenant (id),
    payment_id    text COLLATE "C" NOT NULL,
    number        integer NOT NULL CHECK (number > 0),
    observed_at   bigint NOT NULL,
    superseded_at bigint,
    is_fraud      boolean NOT NULL,
    source        text NOT NULL
        CHECK (source IN ('dispute', 'review', 'tenant', 'provider', 'import')),
    at            bigint NOT NULL,
    recorded_at   timestamptz NOT NULL,
    card          text COLLATE "C",
    customer      text COLLATE "C",
    device        text COLLATE "C",
    email         text COLLATE "C",
    ip            text COLLATE "C",
    issuer_range  text COLLATE "C",
    seller        text COLLATE "C",
    PRIMARY KEY (tenant_id, payment_id, number, observed_at)
);
-- Why an attempt was let through, or not; `shadow` is what it would have been with all rules live.
CREATE TABLE fraud_decision (
    tenant_id  uuid NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    stage      text NOT NULL CHECK (stage = ANY ('{pre_auth,post_auth,payout,refund}')),
    verdict    text NOT NULL CHECK (verdict = ANY
        ('{abstain,allow,review,challenge,block,allow_list,hard_block}')),
    degraded   boolean NOT NULL,
    document   jsonb NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, payment_id, number, stage)
);
CREATE INDEX fraud_decision_degraded ON fraud_decision (tenant_id, decided_at) WHERE degraded;
CREATE TABLE fraud_rule (
    tenant_id  uuid NOT NULL REFERENCES tenant (id),
    rule       text COLLATE "C" NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    mode       text NOT NULL CHECK (mode IN ('off', 'shadow', 'live')),
    settings   jsonb NOT NULL,
    reason     text NOT NULL,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, rule, version)
);
-- @@ function
-- What every rule said, of a decision's document; `payengine.fraud.spelling` reads the same.
CREATE FUNCTION fraud_said(document jsonb) RETURNS SETOF jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT value FROM jsonb_array_elements(document -> 'verdicts')
    UNION ALL
    SELECT jsonb_build_object('verdict', verdict, 'rule', substring(word FROM '^[^@=]*'),
        'version', coalesce(substring(word FROM '@([0-9]+)')::integer, 0),
        'took_us', substring(word FROM '=([0-9]+)')::integer)
    FROM jsonb_each_text(document -> 'plain') AS plain (verdict, words),
        string_to_table(words, ' ') AS word
$$
-- @@ tables
CREATE TYPE fraud_window AS (
    want text, length bigint, newest bigint, passes text, below bigint, fact text
);
-- @@ each kind
-- The past of one {kind}: of each window (count, sum, largest, first, last); what else is wanted;
-- of each span of labels (known, frauds, run, last).
CREATE FUNCTION fraud_past_{kind}(
    tenant uuid, one text, as_of bigint,
    windows fraud_window[], others fraud_window[], spans bigint[], ends boolean
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    sums jsonb;
    singles jsonb;
    known jsonb;
    outer_ends jsonb;
BEGIN
    IF windows IS NOT NULL THEN
        SELECT jsonb_agg(s.a) INTO sums
        FROM unnest(windows) AS w CROSS JOIN LATERAL (
            SELECT jsonb_build_array(count(*), coalesce(sum(r.base_minor), 0)::bigint,
                                     max(r.base_minor), min(r.at), max(r.at)) AS a
            FROM (
                SELECT e.base_minor, e.at FROM fraud_event e
                WHERE e.tenant_id = tenant AND e.{kind} = one AND e.at < as_of
                  AND e.at >= coalesce(as_of - w.length, -9223372036854775807)
                  AND (w.passes = 'all' OR (w.passes = 'declined' AND e.declined)
                       OR (w.passes = 'approved' AND NOT e.declined)
                       OR (w.passes = 'small' AND e.base_minor <= w.below))
                ORDER BY e.at DESC LIMIT w.newest
            ) r
        ) s;
    END IF;
    IF others IS NOT NULL THEN
        SELECT jsonb_agg(s.a) INTO singles
        FROM unnest(others) AS w CROSS JOIN LATERAL (
            SELECT CASE w.want
                WHEN 'distinct' THEN to_jsonb(count(DISTINCT r.fact))
                WHEN 'median' THEN
                    to_jsonb(percentile_cont(0.5) WITHIN GROUP (ORDER BY r.base_minor))
                ELSE to_jsonb((array_agg(r.fact ORDER BY r.at DESC))[1])
            END AS a
            FROM (
                SELECT e.base_minor, e.at, CASE w.fact
                    WHEN 'card' THEN e.card WHEN 'customer' THEN e.customer
                    WHEN 'device' THEN e.device WHEN 'email' THEN e.email
                    WHEN 'ip' THEN e.ip WHEN 'issuer_range' THEN e.issuer_range
                    WHEN 'seller' THEN e.seller WHEN 'billing_country' THEN e.billing_country
                    WHEN 'currency' THEN e.currency WHEN 'email_domain' THEN e.email_domain
                    WHEN 'ip_country' THEN e.ip_country
                    WHEN 'issuer_country' THEN e.issuer_country
                    WHEN 'method_kind' THEN e.method_kind
                    WHEN 'ship_country' THEN e.ship_country END AS fact
                FROM fraud_event e
                WHERE e.tenant_id = tenant AND e.{kind} = one AND e.at < as_of
                  AND e.at >= coalesce(as_of - w.length, -9223372036854775807)
                  AND (w.passes = 'all' OR (w.passes = 'declined' AND e.declined)
                       OR (w.passes = 'approved' AND NOT e.declined)
                       OR (w.passes = 'small' AND e.base_minor <= w.below))
                ORDER BY e.at DESC
                LIMIT CASE WHEN w.want = 'previous' THEN 1 ELSE w.newest END
            ) r
        ) s;
    END IF;
    IF spans IS NOT NULL THEN
        SELECT jsonb_agg(jsonb_build_array(s.labeled, s.frauds,
            coalesce(array_position(s.told, false) - 1, s.labeled), s.told[1])) INTO known
        FROM unnest(spans) AS span CROSS JOIN LATERAL (
            SELECT count(*) AS labeled, count(*) FILTER (WHERE l.is_fraud) AS frauds,
                array_agg(l.is_fraud ORDER BY l.observed_at DESC, l.at DESC,
                    l.payment_id DESC, l.number DESC) AS told
            FROM fraud_label l
            WHERE l.tenant_id = tenant AND l.{kind} = one AND l.observed_at <= as_of
              AND l.observed_at >= coalesce(as_of - span, -9223372036854775807)
              AND (l.superseded_at IS NULL OR l.superseded_at > as_of)
        ) s;
    END IF;
    IF ends THEN
        SELECT jsonb_build_array(
            (SELECT min(e.at) FROM fraud_event e
             WHERE e.tenant_id = tenant AND e.{kind} = one AND e.at < as_of),
            (SELECT max(e.at) FROM fraud_event e
             WHERE e.tenant_id = tenant AND e.{kind} = one AND e.at < as_of)) INTO outer_ends;
    END IF;
    RETURN jsonb_build_array(sums, singles, known, outer_ends);
END $$
-- @@ function
-- The past of a batch of attempts, as rows: of each entity its newest payments (`e`) and labels
-- (`l`) since an instant, and when it was first seen (`f`); which attempts have a key that is taken,
-- or a customer who is not there (`p`); which entries of the tenant's lists have one of them (`k`).
-- The entities are locked first, all of them in the order of their numbers, so that nobody waits in
-- a circle: whoever comes after sees what this transaction will have recorded.
CREATE FUNCTION fraud_features(asked jsonb)
RETURNS TABLE (what "char", q integer, at bigint, base_minor bigint, told boolean, facts text[])
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_material = off SET lock_timeout = '200ms' AS $$
DECLARE
    given jsonb := asked -> 'parts';
    wanted jsonb := asked -> 'wanted';
BEGIN
    PERFORM pg_advisory_xact_lock(taken.number)
    FROM (SELECT value::bigint AS number FROM jsonb_array_elements_text(asked -> 'locks')) taken;
    IF wanted ? 'claims' THEN
        RETURN QUERY SELECT 'p'::"char", 0, 0::bigint, 0::bigint, true, ARRAY[c.resource_id]
        FROM {parts}, jsonb_to_recordset(part -> 'claims')
            AS c (key text, resource_id text, customer_id text)
        WHERE (SELECT true FROM idempotency_key k
               WHERE k.tenant_id = scope::uuid AND k.key = c.key)
           OR (c.customer_id IS NOT NULL AND (
               SELECT true FROM customer
               WHERE customer.tenant_id = scope::uuid AND customer.id = c.customer_id) IS NULL);
    END IF;
    {events}
    IF wanted ? 'labels' THEN
        RETURN QUERY
        {labels};
    END IF;
    IF wanted ? 'firsts' THEN
        RETURN QUERY SELECT 'f'::"char", a.q, CASE a.k {firsts} END, 0::bigint, true,
            NULL::text[]
        FROM {parts}, jsonb_to_recordset(part -> 'firsts') AS a (q integer, k text, v text);
    END IF;
    IF wanted ? 'lists' THEN
        RETURN QUERY SELECT 'k'::"char", 0,
            (extract(epoch FROM k.expires_at) * 1000000)::bigint, 0::bigint, true,
            ARRAY[k.list, k.kind, k.value]
        FROM {parts}, jsonb_to_recordset(part -> 'lists') AS a (k text, v text)
        CROSS JOIN LATERAL (
            SELECT one.* FROM fraud_list_key one
            WHERE one.tenant_id = scope::uuid AND one.kind = a.k AND one.value = a.v
            LIMIT 1000
        ) k
        WHERE (SELECT true FROM fraud_list_key o WHERE o.tenant_id = scope::uuid LIMIT 1);
    END IF;
END $$
-- @@ function
-- Records attempts in the past before their payments are opened.
CREATE FUNCTION fraud_record(tenant text, events jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.tenant_id', tenant, true);
    INSERT INTO fraud_event (tenant_id,
        payment_id, number, at, base_minor, declined, card, customer, device, email, ip,
        issuer_range, seller, billing_country, currency, email_domain, ip_country,
        issuer_country, method_kind, ship_country)
    SELECT tenant::uuid,
        payment_id, number, at, base_minor, declined, card, customer, device, email, ip,
        issuer_range, seller, billing_country, currency, email_domain, ip_country,
        issuer_country, method_kind, ship_country
    FROM jsonb_populate_recordset(NULL::fraud_event, events);
END $$
-- @@ function
-- The past of one crowded entity, counted by the database.
CREATE FUNCTION fraud_crowded(tenant text, kind text, one text, as_of bigint, plan jsonb)
RETURNS jsonb LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    PERFORM set_config('app.tenant_id', tenant, true);
    {crowded}
    RETURN NULL;
END $$
-- @@ function
-- The payments of attempts whose past was read before, by `open_rows`; what is opened becomes part
-- of the past and keeps its decision, and what is not leaves nothing behind.
CREATE FUNCTION open_screened_payments(given jsonb)
RETURNS TABLE (written text, ended_at timestamptz) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_material = off SET lock_timeout = '200ms' AS $$
DECLARE
    opened text[] := open_rows(given);
    one jsonb;
    tenant uuid;
BEGIN
    IF given @? '$[*].past[0]' THEN
        INSERT INTO fraud_event (tenant_id,
            payment_id, number, at, base_minor, declined, card, customer, device, email, ip,
            issuer_range, seller, billing_country, currency, email_domain, ip_country,
            issuer_country, method_kind, ship_country)
        SELECT scope::uuid,
            payment_id, number, at, base_minor, declined, card, customer, device, email, ip,
            issuer_range, seller, billing_country, currency, email_domain, ip_country,
            issuer_country, method_kind, ship_country
        FROM {parts}, jsonb_populate_recordset(NULL::fraud_event, part -> 'past')
        WHERE payment_id = ANY (opened);
    END IF;
    INSERT INTO fraud_decision (tenant_id,
        payment_id, number, stage, verdict, degraded, document, decided_at)
    SELECT scope::uuid, d.payment_id, d.number, d.stage, d.verdict, d.degraded, d.document,
        d.decided_at
    FROM {parts}, jsonb_populate_recordset(NULL::fraud_decision, part -> 'decisions') AS d
    WHERE d.payment_id = ANY (opened);
    IF given @? '$[*].recorded[0]' THEN
        FOR one IN SELECT value FROM jsonb_array_elements(given) LOOP
            tenant := set_config('app.tenant_id', one ->> 'tenant_id', true)::uuid;
            DELETE FROM fraud_event e USING jsonb_array_elements_text(one -> 'recorded') p
            WHERE e.tenant_id = tenant AND e.payment_id = p AND NOT p = ANY (opened);
        END LOOP;
    END IF;
    FOREACH written IN ARRAY opened LOOP
        ended_at := clock_timestamp();
        RETURN NEXT;
    END LOOP;
END $$
-- @@ function
-- What an issuer said of operations that ended is written to the past, by one statement for all that
-- a statement has ended. It is the payment's last attempt that was asked; often nobody was named in
-- it, and there is no row.
CREATE FUNCTION operation_tells_fraud() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_material = off AS $$ BEGIN
    INSERT INTO fraud_event AS was (tenant_id, payment_id, number, at, base_minor, declined)
    SELECT e.tenant_id, e.payment_id, e.number, e.at, e.base_minor, n.status = 'declined'
    FROM ended n CROSS JOIN LATERAL set_config('app.tenant_id', n.tenant_id::text, true) AS scope
    CROSS JOIN LATERAL (
        SELECT * FROM fraud_event
        WHERE tenant_id = scope::uuid AND payment_id = n.payment_id
        ORDER BY number DESC LIMIT 1
    ) e
    WHERE n.kind = 'authorize' AND n.status IN ('succeeded', 'declined') AND e.declined IS NULL
      AND (SELECT o.status FROM before o
           WHERE o.tenant_id = n.tenant_id AND o.id = n.id) <> n.status
    ON CONFLICT (tenant_id, payment_id, number) DO UPDATE SET declined = excluded.declined
    WHERE was.declined IS NULL;
    RETURN NULL;
END $$
-- @@ function
CREATE TRIGGER operation_tells_fraud AFTER UPDATE ON operation
REFERENCING OLD TABLE AS before NEW TABLE AS ended
FOR EACH STATEMENT EXECUTE FUNCTION operation_tells_fraud()
