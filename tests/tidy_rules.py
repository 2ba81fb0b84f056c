"""What does this project not do?

Each rule is a pure function of a path, relative to the root, and the file's text; it yields one
sentence for each offence. `tests/test_tidy.py` runs them over the tree, and over planted offenders.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator

__all__ = ["PYTHON_RULES", "TEXT_RULES", "Rule", "is_source", "path_offences"]

Rule = Callable[[str, str], Iterator[str]]

MOST_FUNCTION_LINES = 70
MOST_MODULE_LINES = 500
MOST_HOOKS = 12

_SOURCE = re.compile(
    r"(core/payengine|tenants/payengine_tenants|graphql/payengine_graphql"
    r"|plugins/\w+/payengine_\w+|plugin-template/payengine_\w+)/"
)
_VAGUE_NAMES = re.compile(r"(utils?|helpers?|common|managers?|misc)(\.py)?")
_FLAT_FOLDERS = ("core", "tenants", "graphql", "plugins", "plugin-template")

#: Built from pieces, so that this file does not offend itself.
_MACHINE = re.compile(
    "|".join(
        (
            r"(?<![\w.~])/work" + r"/",
            r"(?<![\w.])/root" + r"/",
            r"/home" + r"/\w+/",
            r"\.\./shared" + r"/",
            r"\.libra" + r"ry/",
        )
    )
)
_REGISTRY = re.compile(
    r"files\.pythonhosted" + r"\.org|pypi" + r"\.org|registry\.npm" + r"js|--(?:extra-)?index-url"
)
_MAKING = re.compile(
    r"\bthis (?:issue|sprint)\b|\b(?:issue|session) #?\d+\b|\bsession helper\b"
    r"|\bhelper session\b|\b(?:previous|later|next) (?:issues?|sessions?)\b"
    r"|\bas an? (?:AI|language model)\b",
    re.IGNORECASE,
)

#: Where integers alone may be: amounts pass through here.
_MONEY = re.compile(
    r"core/payengine/(money|ledger|marketplace|fx|reports)/|core/payengine/payments/(fold|plans|books|settle|requests)\.py"
    r"|core/payengine/billing/(decimals|pricing|proration|usage)\.py"
)

#: Modules that may ask the wall for the time, and why it is not business time there.
_WALL_TIME = {
    "core/payengine/background.py": "leases and due times are wall time",
    "core/payengine/clock.py": "it is the clock",
    "core/payengine/embedded/postgres.py": "the age of a log file",
    "core/payengine/ids.py": "ids sort by the time they were made",
    "core/payengine/invariants/checker.py": "what is overdue is overdue on the wall",
    "core/payengine/jobs/leases.py": "when a try failed is a fact about the machine",
    "core/payengine/payments/wallets.py": "a wallet's token ages on the wall",
    "core/payengine/storage/database.py": "a commit takes its time on the wall",
    "core/payengine/registry/cli.py": "when a plugin was checked is a fact of the wall",
    "core/payengine/testing/case.py": "the provider under test lives on the wall",
    "core/payengine/testing/checks_webhooks.py": "the provider under test lives on the wall",
    "core/payengine/vault/vault.py": "when a key was made is a fact about the machine",
    "core/payengine/worker.py": "how long something has waited or been silent",
    "graphql/payengine_graphql/app.py": "how long jobs have waited",
    "graphql/payengine_graphql/demo/buyer.py": "names one replay",
    "graphql/payengine_graphql/webhooks_in.py": "when a provider's call came is a fact of the wall",
    "graphql/payengine_graphql/health.py": "how long the relay has been silent",
    "tenants/payengine_tenants/cli.py": "API keys expire on the wall",
    "tenants/payengine_tenants/keys.py": "API keys expire on the wall",
    "tenants/payengine_tenants/tenants.py": "a tenant is made before it has a clock",
}
_NOW = re.compile(r"\bdatetime\.now\(|\butcnow\(|\btime\.time(_ns)?\(|\bdate\.today\(")
_SQL_NOW = re.compile(
    r"\b(now\(\)|current_timestamp\b|current_date\b|transaction_timestamp\(\))", re.IGNORECASE
)

#: Where the database's own time is meant, and why.
_DATABASE_TIME = {
    "core/payengine/storage/lint.py": "lists the clocks that it refuses",
    "migrations/versions/0005_jobs.py": "has the shape that pgqueuer expects of its queue",
}

_NOTIFY = re.compile(r"pg_notify|\bNOTIFY [a-z_]+", re.IGNORECASE)

#: Where the house may name a provider, and why.
_PROVIDER_NAMES = {
    "core/payengine/embedded/home.py": "lists what lies in the data folder",
    "core/payengine/registry/__init__.py": "shows a call in its docstring",
    "core/payengine/settings.py": "the operator says where the sandbox is",
    "graphql/payengine_graphql/demo/purchases.py": "the demo pays with test tokens",
    "tenants/payengine_tenants/cli.py": "explains what a test world is",
}
_PROVIDERS = re.compile(r"sandbox|stripe|paypal|adyen|braintree|apple|google", re.IGNORECASE)

#: What of the engine each side may import.
_CONTRACT_IMPORTS = ("payengine.plugin", "payengine.errors")
_PLUGIN_IMPORTS = ("payengine.plugin", "payengine.testing", "payengine.errors")

_UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|HA" r"CK)\b")


def is_source(path: str) -> bool:
    """Whether the file belongs to what is shipped."""
    return _SOURCE.match(path) is not None and path.endswith(".py")


def path_offences(path: str) -> Iterator[str]:
    """Names that are not allowed, whatever the file holds."""
    *folders, name = path.split("/")
    if path.endswith(".py"):
        for part in (*folders, name):
            if _VAGUE_NAMES.fullmatch(part):
                yield f"{path}: `{part}` says nothing; name the noun"
    if name == "__init__.py" and len(folders) == 1 and folders[0] in _FLAT_FOLDERS:
        yield f"{path}: `{folders[0]}` is a folder of a distribution and no package"
    if name == "uv.lock":
        yield f"{path}: it carries registry addresses; requirements.lock is the lock"


def short_modules(path: str, text: str) -> Iterator[str]:
    """A module splits at 500 lines; a migration is one piece."""
    lines = len(text.splitlines())
    if lines > MOST_MODULE_LINES and not path.startswith("migrations/"):
        yield f"{path}: {lines} lines, split it at {MOST_MODULE_LINES}"


def short_functions(path: str, text: str) -> Iterator[str]:
    """A function is read at one glance."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_FUNCTION_LINES:
                yield f"{path}: {node.name} has {lines} lines, at most {MOST_FUNCTION_LINES}"


def honest_exports(path: str, text: str) -> Iterator[str]:
    """`__all__` names what exists, and every public name; ruff's RUF022 keeps its order."""
    if not is_source(path):
        return
    tree = ast.parse(text)
    exported = _exported(tree)
    bound = _bound(tree)
    gathered = _gathered(tree, exported or ())
    for name in sorted(set(exported or ()) - bound):
        yield f"{path}: __all__ names {name}, which does not exist"
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not _is_registered(node)
            and node.name not in (exported or ())
            and node.name not in gathered
        ):
            yield f"{path}: {node.name} is public but not in __all__"


def documented(path: str, text: str) -> Iterator[str]:
    """A module opens with its question; public names say what types do not."""
    if not is_source(path):
        return
    tree = ast.parse(text)
    opening = ast.get_docstring(tree)
    if not opening:
        yield f"{path}: no docstring opens the module"
    elif "?" not in opening and not path.endswith("__init__.py"):
        yield f"{path}: the docstring does not open with a question"
    yield from _undocumented(path, tree.body, "")


def finished(path: str, text: str) -> Iterator[str]:
    """What is not done is not written down here."""
    for found in _UNFINISHED.finditer(text):
        yield f"{path}: {found[0]} on line {_line(text, found)}"


def speaks_of_the_product(path: str, text: str) -> Iterator[str]:
    """No machine's paths, no registry's addresses, no word of how it was made."""
    for pattern, what in (
        (_MACHINE, "a path of one machine"),
        (_REGISTRY, "a registry's address"),
        (_MAKING, "how it was made"),
    ):
        for found in pattern.finditer(text):
            if found[0].startswith("--") and path == "Makefile":
                continue
            yield f"{path}: {found[0]!r} on line {_line(text, found)} tells of {what}"


def integer_money(path: str, text: str) -> Iterator[str]:
    """No float where amounts pass."""
    if not _MONEY.match(path) or not path.endswith(".py"):
        return
    for node in ast.walk(ast.parse(text)):
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        is_name = isinstance(node, ast.Name) and node.id == "float"
        is_division = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if (is_literal and not _is_seconds(node, text)) or is_name or is_division:
            yield f"{path}: a float on line {getattr(node, 'lineno', 0)}"


def told_time(path: str, text: str) -> Iterator[str]:
    """Business time comes from a clock; the wall is asked where the list says so."""
    if path in _WALL_TIME or path.startswith("plugins/") or not is_source(path):
        return
    for found in _NOW.finditer(text):
        yield f"{path}: {found[0]} on line {_line(text, found)}; ask the tenant's clock"


def timeless_sql(path: str, text: str) -> Iterator[str]:
    """No statement and no column default takes the database's time for business time."""
    if not path.startswith(("migrations/", "core/", "tenants/", "graphql/")):
        return
    if not path.endswith((".py", ".sql")) or path in _DATABASE_TIME:
        return
    for found in _SQL_NOW.finditer(text):
        before = text[max(found.start() - 1, 0)]
        if before not in "._" and not text[found.start() - 4 : found.start()].endswith("def "):
            yield f"{path}: {found[0]} on line {_line(text, found)}; pass the instant"


def silent_payments(path: str, text: str) -> Iterator[str]:
    """NOTIFY takes a global lock at commit: wake-ups go through Redis, after the commit."""
    if path.startswith(("core/", "tenants/", "graphql/", "migrations/", "plugins/")) and (
        found := _NOTIFY.search(text)
    ):
        yield f"{path}: {found[0]} on line {_line(text, found)}"


def few_hooks(path: str, text: str) -> Iterator[str]:
    """A plugin's surface stays small, and each hook says what it returns."""
    if path != "core/payengine/plugin/hooks.py":
        return
    specs = [
        function
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and node.name == "HookSpecs"
        for function in node.body
        if isinstance(function, ast.FunctionDef)
    ]
    if len(specs) > MOST_HOOKS:
        yield f"{path}: {len(specs)} hooks, at most {MOST_HOOKS}"
    for spec in specs:
        if spec.returns is None or not ast.get_docstring(spec):
            yield f"{path}: the hook {spec.name} needs a type and a docstring"


def one_way_imports(path: str, text: str) -> Iterator[str]:
    """The contract imports no engine; plugins import the contract; the house names no plugin."""
    if path.startswith("core/payengine/plugin/"):
        allowed: tuple[str, ...] = _CONTRACT_IMPORTS
    elif is_source(path) and path.startswith(("plugins/", "plugin-template/")):
        allowed = _PLUGIN_IMPORTS
    else:
        return
    for module, line in _imports(ast.parse(text)):
        if module.partition(".")[0] in ("payengine", "payengine_tenants", "payengine_graphql"):
            within = any(module == each or module.startswith(f"{each}.") for each in allowed)
            if not within:
                yield f"{path}: imports {module} on line {line}"


def nameless_providers(path: str, text: str) -> Iterator[str]:
    """Core, tenants and the wire know no provider by name."""
    house = ("core/payengine/", "tenants/payengine_tenants/", "graphql/payengine_graphql/")
    if not path.startswith(house) or not path.endswith(".py") or path in _PROVIDER_NAMES:
        return
    for found in _PROVIDERS.finditer(text):
        yield f"{path}: names {found[0]!r} on line {_line(text, found)}"


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def _exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def _bound(tree: ast.Module) -> set[str]:
    """Names that the module binds, in whatever block; a star import is not followed."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names


def _gathered(tree: ast.Module, exported: Collection[str]) -> set[str]:
    """Names that the module offers as members of an exported collection."""
    return {
        member.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.List)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in exported
        for member in node.value.elts
        if isinstance(member, ast.Name)
    }


def _is_registered(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """A decorator took it: a command or a check is found by its registry, not by its name."""
    return bool(node.decorator_list) and not isinstance(node, ast.ClassDef)


def _undocumented(path: str, body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield f"{path}: {prefix}{node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(path, node.body, f"{node.name}.")


def _is_seconds(node: ast.AST, text: str) -> bool:
    """A literal on a line whose name ends in `_S` is a time, not an amount."""
    line = text.splitlines()[getattr(node, "lineno", 1) - 1]
    return re.match(r"\s*_?[A-Z_]+_S\b", line) is not None


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "payengine":  # `from payengine import plugin`
                for alias in node.names:
                    yield f"payengine.{alias.name}", node.lineno
            else:
                yield node.module, node.lineno


#: Over every Python file.
PYTHON_RULES: tuple[Rule, ...] = (
    short_modules,
    short_functions,
    honest_exports,
    documented,
    integer_money,
    told_time,
    few_hooks,
    one_way_imports,
    nameless_providers,
)

#: Over every text file.
TEXT_RULES: tuple[Rule, ...] = (
    finished,
    speaks_of_the_product,
    silent_payments,
    timeless_sql,
)
