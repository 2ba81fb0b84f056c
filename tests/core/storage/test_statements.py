"""Every statement names its tenant itself, so that it would be right without the policies too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from payengine.storage.tables import SHARED_TABLES

_ROOT = Path(__file__).parents[3]
_SOURCES = ("core/payengine", "tenants/payengine_tenants", "graphql/payengine_graphql")
_TABLES = {
    name
    for script in sorted((_ROOT / "migrations/versions").glob("*.sql"))
    for name in re.findall(r"CREATE TABLE (\w+)", script.read_text())
} - SHARED_TABLES.keys()

#: The worker's: they read names and due times of all tenants, by design. module:constant.
_OF_ALL_TENANTS = {
    "core/payengine/ledger/folding.py:_TENANTS",
    "core/payengine/payments/disputes/sending.py:_DUE",
    "core/payengine/payments/disputes/sending.py:_REMIND",
    "core/payengine/payments/reconcile.py:_DUE",
    "core/payengine/payments/reconcile.py:_EXPIRED",
    "core/payengine/payments/review/deciding.py:_DUE",
}

#: Functions that do so, with the worker's rights.
_FUNCTIONS_OF_ALL_TENANTS = {"0001_batches.sql:publish_events"}

_FUNCTION = re.compile(r"CREATE FUNCTION ([\w{}]+)\s*\(.*?AS (\$\w*\$)(.*?)\2", re.DOTALL)
_MENTION = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE|USING)\s+({'|'.join(sorted(_TABLES))})\b")
_FILTER = re.compile(
    r"tenant_id\s*=|=\s*(?:\w+\.)?tenant_id\b|USING \(tenant_id\b|WHERE \((?:\w+\.)?tenant_id,"
)
_QUERY = re.compile(r"\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b")
_COLUMNS = re.compile(r"\s*(?:AS\s+\w+\s*)?\(([^)]*)\)")


def unfiltered(sql: str) -> list[str]:
    """The tables that a statement touches without naming the tenant there."""
    found = []
    for mention in _MENTION.finditer(sql):
        verb, table = mention.groups()
        if verb == "INTO":
            columns = _COLUMNS.match(sql, mention.end())
            is_named = columns is not None and "tenant_id" in columns[1]
        else:
            is_named = _FILTER.search(_scope(sql, mention.end())) is not None
        if not is_named:
            found.append(table)
    return found


def _scope(sql: str, begin: int) -> str:
    """From `begin` to the end of the innermost brackets around it, inner queries left out."""
    kept, inner = "", []
    for at in range(begin, len(sql)):
        if sql[at] == "(":
            inner.append(_QUERY.match(sql, at + 1) is not None)
        elif sql[at] == ")":
            if not inner:
                break
            inner.pop()
        if not any(inner):
            kept += sql[at]
    return kept


class _Texts(ast.NodeVisitor):
    """Every text of a module with the name that it is given or the function that it stands in."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._known: dict[str, str] = {}
        self._names: list[str] = []

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        name = target.id if isinstance(target, ast.Name) else ""
        text = self._text(node.value)
        if text is None:
            self._inside(name, node)
            return
        self._known[name] = text
        self.found.append((name, text))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._inside(node.name, node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def _inside(self, name: str, node: ast.AST) -> None:
        self._names.append(name)
        self.generic_visit(node)
        self._names.pop()

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # not a docstring
            self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        is_text = isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)
        text = self._text(node) if is_text else None
        if text is None:
            super().generic_visit(node)
        else:
            self.found.append((self._names[-1] if self._names else "", text))

    visit_Constant = visit_JoinedStr = visit_BinOp = generic_visit

    def _text(self, node: ast.AST) -> str | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return "".join(self._text(part) or "…" for part in node.values)
        if isinstance(node, ast.FormattedValue):
            return self._text(node.value) or "…"
        if isinstance(node, ast.Name):
            return self._known.get(node.id)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self._text(node.left), self._text(node.right)
            return None if left is None and right is None else (left or "…") + (right or "…")
        return None


def statements(source: str) -> Iterator[tuple[str, str]]:
    """Each text of a module that touches a tenant's table, with its name."""
    texts = _Texts()
    texts.visit(ast.parse(source))
    yield from ((name, text) for name, text in texts.found if _MENTION.search(text))


def test_every_statement_of_the_engine_names_its_tenant() -> None:
    seen, faults = set(), []
    for folder in _SOURCES:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            module = path.relative_to(_ROOT).as_posix()
            for name, sql in statements(path.read_text()):
                where = f"{module}:{name}"
                seen.add(where)
                if where not in _OF_ALL_TENANTS and (tables := unfiltered(sql)):
                    faults.append(f"{where} touches {', '.join(tables)} of all tenants")
    assert faults == []
    assert seen >= _OF_ALL_TENANTS, "the list names statements that are gone"
    assert len(seen) > 5


def functions(script: str) -> Iterator[tuple[str, list[str]]]:
    """The functions of a migration, with their statements."""
    for found in _FUNCTION.finditer(script):
        yield found[1], re.sub(r"--.*", "", found[3]).split(";")


def test_every_statement_of_the_databases_functions_names_its_tenant() -> None:
    seen, faults = set(), []
    for path in sorted((_ROOT / "migrations/versions").glob("0*")):
        for name, body in functions(path.read_text()):
            where = f"{path.name}:{name}"
            seen.add(where)
            tables = sorted({table for sql in body for table in unfiltered(sql)})
            if tables and where not in _FUNCTIONS_OF_ALL_TENANTS:
                faults.append(f"{where} touches {', '.join(tables)} of all tenants")
    assert faults == []
    assert seen >= _FUNCTIONS_OF_ALL_TENANTS, "the list names functions that are gone"
    assert seen >= {"0001_batches.sql:settle_payments", "0008_fraud.sql:fraud_features"}


def test_the_relay_takes_its_lease_before_it_looks() -> None:
    """What follows the lock must see what was committed before it was had: not in its statement,
    and in a function whose statements have snapshots of their own."""
    script = (_ROOT / "migrations/versions/0001_batches.sql").read_text()
    body = dict(functions(script))["publish_events"]
    looks = [number for number, sql in enumerate(body) if _MENTION.search(sql)]
    takes = [number for number, sql in enumerate(body) if "pg_try_advisory_xact_lock" in sql]
    assert takes == [0]
    assert min(looks) > 0
    head = script[script.index("CREATE FUNCTION publish_events") :].partition("$$")[0]
    assert not re.search(r"\b(STABLE|IMMUTABLE)\b", head)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM payment WHERE tenant_id = $1 AND id = $2",
        "SELECT o.id FROM operation AS o JOIN payment p ON p.tenant_id = o.tenant_id"
        " AND p.id = o.payment_id WHERE o.tenant_id = $1",
        "INSERT INTO event (tenant_id, id) VALUES ($1, $2)",
        "WITH x AS (DELETE FROM ledger_tail WHERE tenant_id = $1 RETURNING 1) SELECT 1 FROM x",
        "UPDATE payment SET status = $3 WHERE tenant_id = $1 AND id = $2",
        "SELECT 1 FROM tenant",
        "SELECT 1 FROM payments",
    ],
)
def test_statements_that_name_their_tenant_pass(sql: str) -> None:
    assert unfiltered(sql) == []


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("SELECT tenant_id FROM payment WHERE id = $1", "payment"),
        ("SELECT tenant_id, id FROM payment", "payment"),
        ("UPDATE payment SET status = $2 WHERE id = $1", "payment"),
        ("DELETE FROM ledger_tail WHERE transaction_id = $1", "ledger_tail"),
        ("INSERT INTO event (id) VALUES ($1)", "event"),
        ("INSERT INTO event VALUES ($1)", "event"),
        ("SELECT 1 FROM payment WHERE id = (SELECT id FROM event WHERE tenant_id = $1)", "payment"),
        ("SELECT (SELECT 1 FROM event WHERE id = $2) FROM payment WHERE tenant_id = $1", "event"),
        ("WITH x AS (SELECT 1 FROM event) SELECT 1 FROM x WHERE tenant_id = $1", "event"),
    ],
)
def test_a_statement_without_its_tenant_is_found(sql: str, table: str) -> None:
    assert unfiltered(sql) == [table]


def test_texts_are_read_however_they_are_written() -> None:
    source = '''
"""SELECT 1 FROM payment is a docstring."""
_COLUMNS = "id, status"
_ONE = f"SELECT {_COLUMNS} FROM payment"
_TWO = ("SELECT 1 "
        "FROM " "payment")
async def three(session):
    await session.fetch("SELECT 1 FROM payment" + " WHERE x")
_FOUR = {"a": ["SELECT 1 FROM payment"]}
'''
    assert [name for name, _ in statements(source)] == ["_ONE", "_TWO", "three", "_FOUR"]
    assert all(unfiltered(sql) == ["payment"] for _, sql in statements(source))
