from __future__ import annotations

from tests.bench.messages import Message, messages_of, script_of

_PAY = "pay_0" + "a" * 25
_EVT = "evt_0" + "b" * 25
_DATA = f"""'{{"p": "{_PAY}", "e": "{_EVT}''s"}}'"""
_LOG = f"""\
2026-11-23 07:15:49.226 UTC [71] LOG:  statement: BEGIN; SET LOCAL app.tenant_id = 'x'
2026-11-23 07:15:49.227 UTC [71] LOG:  execute __asyncpg_stmt_5__: INSERT INTO payment
\t    VALUES ($1, $2::text)
2026-11-23 07:15:49.227 UTC [71] DETAIL:  Parameters: $1 = '{_PAY}', $2 = NULL
2026-11-23 07:15:49.228 UTC [71] LOG:  execute __asyncpg_stmt_6__: INSERT INTO event VALUES ($1)
2026-11-23 07:15:49.228 UTC [71] DETAIL:  Parameters: $1 = {_DATA}
2026-11-23 07:15:49.229 UTC [71] LOG:  statement: COMMIT
"""


def test_messages_are_read_with_their_parameters() -> None:
    assert list(messages_of(_LOG)) == [
        Message("BEGIN; SET LOCAL app.tenant_id = 'x'", None),
        Message("INSERT INTO payment\n    VALUES ($1, $2::text)", (f"'{_PAY}'", "NULL")),
        Message("INSERT INTO event VALUES ($1)", (_DATA,)),
        Message("COMMIT", None),
    ]


def test_script_has_new_ids_each_time_and_begins_in_one_message() -> None:
    script = script_of(list(messages_of(_LOG)), key="k")
    assert _PAY not in script
    assert _EVT not in script
    assert "EXECUTE own_1('pay_:v0', NULL);" in script
    assert """EXECUTE own_2('{"p": "pay_:v0", "e": "evt_:v1''s"}');""" in script
    assert "BEGIN \\; SET LOCAL app.tenant_id = 'x';" in script
    assert script.rstrip().endswith("COMMIT;")
