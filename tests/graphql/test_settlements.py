"""Do exchange, settlements, the ledger and its reports answer over the wire as they should?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from payengine_bank_transfer.statements import read_document

from tests.graphql.worlds import World, codes, new_key

_HEAD = (
    "key,kind,reference,amount_minor,currency,fee_minor,at,presentment_minor,"
    "presentment_currency,payout"
)


async def _do(world: World, name: str, shown: str, **given: Any) -> dict[str, Any]:
    title = name[0].upper() + name[1:]
    data = await world.run(
        f"mutation($input: {title}Input!) {{ {name}(input: $input)"
        f" {{ errors {{ code message path }} {shown} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    found: dict[str, Any] = data[name]
    return found


def _codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["errors"]]


async def _push(world: World, rate: str = "1.0956") -> None:
    today = datetime.now(UTC).date().isoformat()
    done = await _do(
        world,
        "pushRates",
        "added",
        base="EUR",
        rates=[{"day": today, "currency": "USD", "rate": rate}],
    )
    assert (done["added"], done["errors"]) == (1, [])


_QUOTE = (
    "fxQuote { id midRate customerRate lock expiresAt usedAt source { formatted }"
    " target { formatted } mid { formatted } markup { formatted } }"
)


async def test_a_quote_is_promised_and_used_once(world: World) -> None:
    await _push(world)
    await world.pay(amount={"amountMinor": 10_000, "currency": "EUR"})
    await _do(world, "setFxSettings", "fxSettings { markupBps }", markupBps=100)
    given = {"source": {"amountMinor": 10_000, "currency": "EUR"}, "targetCurrency": "USD"}
    made = (await _do(world, "createFxQuote", _QUOTE, lock="HOUR", **given))["fxQuote"]
    assert (made["mid"]["formatted"], made["target"]["formatted"], made["markup"]["formatted"]) == (
        "109.56 USD",
        "108.46 USD",
        "1.10 USD",
    )
    shown = "conversion { id kind source { formatted } target { formatted } quoteId }"
    done = await _do(world, "convertBalance", shown, quoteId=made["id"])
    assert done["conversion"]["target"]["formatted"] == "108.46 USD"
    again = await _do(world, "convertBalance", shown, quoteId=made["id"])
    assert (_codes(again), again["conversion"]) == (["FX_QUOTE_USED"], None)
    looked_at = (await _do(world, "createFxQuote", _QUOTE, lock="NONE", **given))["fxQuote"]
    expired = await _do(world, "convertBalance", shown, quoteId=looked_at["id"])
    assert _codes(expired) == ["FX_QUOTE_EXPIRED"]
    unknown = given | {"targetCurrency": "KWD"}
    assert _codes(await _do(world, "createFxQuote", _QUOTE, **unknown)) == ["RATE_NOT_AVAILABLE"]
    found = await world.run(
        "query($id: ID!) { node(id: $id) { ... on FxQuote { usedAt } }"
        ' midRate(source: "EUR", target: "USD") { rate rateSource rateDate } }',
        id=made["id"],
    )
    assert found["node"]["usedAt"] is not None
    assert found["midRate"]["rate"] == "1.0956"


_FILE = "settlementFile { id lineCount newCount workCount problems finishedAt }"


async def _take(world: World, *rows: str) -> dict[str, Any]:
    content = "\n".join((_HEAD, *rows))
    return await _do(
        world, "importSettlementFile", _FILE, format="sandbox.settlement", content=content
    )


async def test_a_file_becomes_lines_work_and_reports(world: World) -> None:
    paid = await world.pay(amount={"amountMinor": 10_000, "currency": "EUR"})
    at = datetime.now(UTC).isoformat()
    op = paid["operation"]["id"]
    done = await _take(
        world,
        f"t1,capture,{op},9900,EUR,320,{at},,,po_1",
        f"t2,refund,nobody,-100,EUR,0,{at},,,po_1",
        f"t3,payout,po_1,-9480,EUR,0,{at},,,",
    )
    assert done["settlementFile"] | {"id": "", "finishedAt": ""} == {
        "id": "",
        "lineCount": 3,
        "newCount": 3,
        "workCount": 2,
        "problems": [],
        "finishedAt": "",
    }
    listed = await world.run(
        "{ settlementItems { nodes { id finding amountDifference ours { formatted }"
        " theirs { formatted } payment { id } actions { kind person } } } }"
    )
    items = {each["finding"]: each for each in listed["settlementItems"]["nodes"]}
    assert items["AMOUNT_DIFFERS"]["amountDifference"] == -100
    assert items["AMOUNT_DIFFERS"]["payment"]["id"] == paid["payment"]["id"]
    assert items["MISSING_HERE"]["theirs"]["formatted"] == "1.00 EUR"
    settled = await _do(
        world,
        "settleSettlementItem",
        "settlementItem { resolution settledBy }",
        itemId=items["MISSING_HERE"]["id"],
        person="Ada",
        reason="It was paid back by hand.",
    )
    assert settled["settlementItem"] == {"resolution": "EXPLAINED", "settledBy": "Ada"}
    refused = await _do(
        world,
        "settleSettlementItem",
        "settlementItem { id }",
        itemId=items["AMOUNT_DIFFERS"]["id"],
        person="Ada",
        reason=" ",
    )
    assert _codes(refused) == ["INPUT_INVALID"]
    today = datetime.now(UTC).date()
    report = await world.run(
        "query($start: String!, $end: String!) {"
        ' balanceReport(gateway: "sandbox", currency: "EUR", start: $start, end: $end) {'
        " startingBalance { amountMinor } activityNet { amountMinor } payouts { amountMinor }"
        " endingBalance { amountMinor } activity { category count net { amountMinor } } }"
        ' payoutReconciliation(gateway: "sandbox", payout: "po_1", currency: "EUR") {'
        " paid { amountMinor } difference { amountMinor } } }",
        start=today.isoformat(),
        end=(today + timedelta(days=1)).isoformat(),
    )
    told = report["balanceReport"]
    assert told["activityNet"]["amountMinor"] == 9_900 - 320 - 100
    assert told["payouts"]["amountMinor"] == -9_480
    assert told["endingBalance"]["amountMinor"] == 0
    assert report["payoutReconciliation"]["paid"]["amountMinor"] == 9_480
    assert report["payoutReconciliation"]["difference"]["amountMinor"] == 0


async def test_a_file_that_nobody_reads_is_refused(world: World) -> None:
    done = await _do(world, "importSettlementFile", _FILE, format="nobody.reads", content="x")
    assert _codes(done) == ["PLUGIN_NOT_FOUND"]
    done = await _do(world, "importSettlementFile", _FILE, format="stripe.balance", content="x")
    assert _codes(done) == ["INPUT_INVALID"]
    assert (await world.run("{ settlementFiles { nodes { id } } }"))["settlementFiles"] == {
        "nodes": []
    }


async def test_the_ledger_is_read_at_any_instant_and_written_as_statements(world: World) -> None:
    begun = datetime.now(UTC)
    await world.pay(amount={"amountMinor": 1_000, "currency": "EUR"})
    between = datetime.now(UTC)
    await world.pay(amount={"amountMinor": 500, "currency": "EUR"})
    ended = datetime.now(UTC) + timedelta(seconds=1)
    account = "merchant_payable:main"
    found = await world.run(
        "query($account: String!, $then: DateTime!, $since: DateTime!, $until: DateTime!) {"
        ' then: ledgerBalance(account: $account, currency: "EUR", at: $then)'
        " { balance { amountMinor } }"
        ' now: ledgerBalance(account: $account, currency: "EUR") { balance { amountMinor } }'
        ' all: ledgerBalances(prefix: "merchant", at: $then) { balance { amountMinor } }'
        " ledgerTransfers(since: $since, until: $until, account: $account, first: 1)"
        " { nodes { amount { amountMinor } kind } pageInfo { endCursor hasNextPage } }"
        ' camt: ledgerStatement(account: $account, currency: "EUR", since: $since, until: $until,'
        " format: CAMT053) { content mediaType opening { amountMinor } closing { amountMinor } }"
        ' csv: ledgerStatement(account: $account, currency: "EUR", since: $since, until: $until)'
        " { content entries }"
        " ledgerTrialBalance { currency debits { amountMinor } credits { amountMinor } }"
        " revenueByMethod(since: $since, until: $until) { method amount { formatted } } }",
        account=account,
        then=between.isoformat(),
        since=begun.isoformat(),
        until=ended.isoformat(),
    )
    assert found["then"]["balance"]["amountMinor"] == 1_000
    assert found["now"]["balance"]["amountMinor"] == 1_500
    assert found["all"] == [found["then"]]
    page = found["ledgerTransfers"]
    assert [each["amount"]["amountMinor"] for each in page["nodes"]] == [500]
    rest = await world.run(
        "query($after: String, $since: DateTime!, $until: DateTime!, $account: String) {"
        " ledgerTransfers(since: $since, until: $until, account: $account, after: $after)"
        " { nodes { amount { amountMinor } } } }",
        after=page["pageInfo"]["endCursor"],
        since=begun.isoformat(),
        until=ended.isoformat(),
        account=account,
    )
    assert [each["amount"]["amountMinor"] for each in rest["ledgerTransfers"]["nodes"]] == [1_000]
    document = read_document(found["camt"]["content"].encode())
    assert (document.kind, document.problems) == ("camt.053", ())
    assert [(each.direction, each.minor) for each in document.lines] == [
        ("credit", 1_000),
        ("credit", 500),
    ]
    assert found["csv"]["entries"] == 2
    assert found["csv"]["content"].splitlines()[-1].endswith(",15.00,EUR")
    (trial,) = found["ledgerTrialBalance"]
    assert trial["debits"] == trial["credits"]
    assert found["revenueByMethod"] == [{"method": "card", "amount": {"formatted": "15.00 EUR"}}]


async def test_another_tenants_cursor_leads_nowhere_else(world: World, foreign: World) -> None:
    await foreign.pay()
    document = (
        "query($since: DateTime!, $until: DateTime!, $after: String) {"
        " ledgerTransfers(since: $since, until: $until, after: $after)"
        " { nodes { transactionId } pageInfo { endCursor } } }"
    )
    span = {
        "since": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    theirs = (await foreign.run(document, **span))["ledgerTransfers"]["pageInfo"]["endCursor"]
    found = await world.run(document, **span, after=theirs)
    assert found["ledgerTransfers"]["nodes"] == []
    refused = await world.ask(document, **span, after="nonsense")
    assert codes(refused) == ["CURSOR_INVALID"]
