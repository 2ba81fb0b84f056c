"""The process in numbers, without a tenant's name."""

from __future__ import annotations

import httpx

from tests.graphql.worlds import World


async def test_what_happens_is_counted_without_naming_a_tenant(
    world: World, client: httpx.AsyncClient
) -> None:
    payment = (await world.pay())["payment"]["id"]
    await world.pay(amount={"amountMinor": 0, "currency": "EUR"})
    text = (await client.get("/metrics")).text
    for expected in (
        'payengine_mutations_total{mutation="createPayment",result="CAPTURED"}',
        'payengine_mutations_total{mutation="createPayment",result="AMOUNT_NOT_POSITIVE"}',
        'payengine_http_request_seconds_count{route="/graphql",status="200"}',
        'payengine_gateway_operations_total{gateway="sandbox",kind="authorize",status="succeeded"}',
        "payengine_sql_statements_total",
        "payengine_sql_commits_total",
        "payengine_live_subscribers",
        "# TYPE payengine_unmodelled_statuses_total counter",
        "# TYPE payengine_unmapped_declines_total counter",
        "# TYPE payengine_jobs gauge",
        "# TYPE payengine_job_oldest_due_seconds gauge",
        "# TYPE payengine_jobs_ended_total counter",
    ):
        assert expected in text
    for secret in (str(world.context.tenant_id), world.secret, payment, "a test"):
        assert secret not in text
