"""What does a condition's text mean, and how is it made quick and harmless?

The text is read as a Python expression, of which only what stands here is taken: comparisons,
`and`, `or`, `not`, `in`, sums and products of numbers, the words of `words`, and literals. It has
no attributes, no indexes, no powers and no loops, so it ends, and soon. What was taken is written
anew as one function, which is compiled once.

A comparison with something unknown is false.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from payengine.plugin import Feature, FraudContext

from payengine_fraud_expression.words import CALLS, FIELDS, Kind, feature_of

__all__ = ["MOST_CHARACTERS", "Condition", "ExpressionWrong", "compile_condition"]

MOST_CHARACTERS = 1_000
_MOST_NODES = 250
_MOST_DEPTH = 20
_MOST_FEATURES = 20
_MOST_CHOICES = 100
_MOST_TEXT = 100
_LARGEST = 10**15
_KEPT = 1_000

_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_SAME = (ast.Eq, ast.NotEq)
_AMONG = (ast.In, ast.NotIn)


class ExpressionWrong(ValueError):
    """The text is no condition; `position` counts its characters from 1."""

    def __init__(self, problem: str, *, position: int) -> None:
        super().__init__(f"{problem} (at character {position})")
        self.problem = problem
        self.position = position


@dataclass(frozen=True)
class Condition:
    """A compiled condition: whether it `holds` for a payment, and what it reads of the past."""

    holds: Callable[[FraudContext], bool]
    features: tuple[Feature, ...]


class _Part(NamedTuple):
    """A piece that was written anew; `unknowns` are the locals that may be None in it."""

    node: ast.expr
    kind: Kind
    unknowns: tuple[str, ...] = ()


@lru_cache(maxsize=_KEPT)
def compile_condition(text: str) -> Condition:
    """Compile a text of at most 1,000 characters; raises `ExpressionWrong`."""
    if len(text) > MOST_CHARACTERS:
        raise ExpressionWrong(
            f"It is longer than {MOST_CHARACTERS} characters", position=MOST_CHARACTERS + 1
        )
    flat = "".join(" " if character in "\r\n\t" else character for character in text)
    for position, character in enumerate(flat, 1):
        if character in "#\\;" or not character.isprintable():
            raise ExpressionWrong(f"{character!r} means nothing here", position=position)
    begins = len(flat) - len(flat.lstrip(" "))
    writer = _Writer(flat, begins, _parsed(flat, begins))
    return writer.condition()


def _parsed(flat: str, begins: int) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(flat[begins:], mode="eval")
    except SyntaxError as wrong:
        # An offset of 0 is the parser's word for the text's end.
        offset = wrong.offset or len(flat) + 1
        position = begins + max(1, min(offset, len(flat) - begins + 1))
        raise ExpressionWrong(f"It cannot be read: {wrong.msg}", position=position) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionWrong("It cannot be read", position=begins + 1) from None
    return tree.body


@dataclass
class _Writer:
    """Writes one text anew."""

    flat: str
    begins: int
    tree: ast.expr
    features: dict[str, Feature] = field(default_factory=dict)
    loads: dict[str, tuple[str, list[ast.stmt]]] = field(default_factory=dict)

    def condition(self) -> Condition:
        for number, node in enumerate(ast.walk(self.tree)):
            if number >= _MOST_NODES:
                self._refuse(node, "It is too long: more than 250 words and signs")
        body = self._truth(self._part(self.tree, 0), self.tree)
        statements: list[ast.stmt] = [load for _, own in self.loads.values() for load in own]
        choice = ast.IfExp(test=body, body=ast.Constant(True), orelse=ast.Constant(False))
        arguments = ast.arguments(
            posonlyargs=[], args=[ast.arg("c")], kwonlyargs=[], kw_defaults=[], defaults=[]
        )
        module = _statements("def condition(): pass")
        function = module.body[0]
        assert isinstance(function, ast.FunctionDef)
        function.args = arguments
        function.body = [*_statements("f = c.features").body, *statements, ast.Return(choice)]
        for own in ast.walk(module):
            own.__dict__.pop("lineno", None)
        found: dict[str, Any] = {"__builtins__": {}, "text": str}
        code = compile(ast.fix_missing_locations(module), "<condition>", "exec")
        exec(code, found)  # noqa: S102 - every node of it was made in this module
        return Condition(holds=found["condition"], features=tuple(self.features.values()))

    def _part(self, node: ast.expr, depth: int) -> _Part:
        if depth > _MOST_DEPTH:
            self._refuse(node, f"It is nested deeper than {_MOST_DEPTH} levels")
        match node:
            case ast.BoolOp():
                truths = [self._truth(self._part(one, depth + 1), one) for one in node.values]
                return _Part(ast.BoolOp(op=node.op, values=truths), "flag")
            case ast.UnaryOp(op=ast.Not()):
                inner = self._part(node.operand, depth + 1)
                denied = ast.UnaryOp(op=ast.Not(), operand=self._truth(inner, node.operand))
                return _Part(_guarded(denied, inner.unknowns), "flag")
            case ast.UnaryOp(op=ast.USub()):
                inner = self._number(node.operand, depth + 1)
                return inner._replace(node=ast.UnaryOp(op=node.op, operand=inner.node))
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
                return self._sum(node, depth)
            case ast.Compare():
                return self._comparison(node, depth)
            case ast.Constant():
                return self._literal(node)
            case ast.Name():
                return self._field(node)
            case ast.Call():
                return self._call(node, depth)
            case _:
                return self._refuse(node, f"{_NOUNS.get(type(node), 'This')} is not allowed here")

    def _sum(self, node: ast.BinOp, depth: int) -> _Part:
        left, right = self._number(node.left, depth + 1), self._number(node.right, depth + 1)
        if isinstance(node.op, ast.Div) and (
            not isinstance(node.right, ast.Constant) or not node.right.value
        ):
            self._refuse(node.right, "Divide by a number other than 0; else multiply across")
        written = ast.BinOp(left=left.node, op=node.op, right=right.node)
        return _Part(written, "number", left.unknowns + right.unknowns)

    def _comparison(self, node: ast.Compare, depth: int) -> _Part:
        sides = [node.left, *node.comparators]
        parts = [self._part(node.left, depth + 1)]
        for op, before, side in zip(node.ops, sides, node.comparators, strict=False):
            if isinstance(op, _AMONG):
                if len(node.ops) > 1:
                    self._refuse(side, "`in` stands alone in a comparison")
                parts.append(self._choices(side, parts[-1].kind, depth))
                continue
            part = self._part(side, depth + 1)
            kind = parts[-1].kind
            if part.kind != kind:
                self._refuse(side, f"A {kind} cannot be compared with a {part.kind}")
            if not isinstance(op, _SAME if kind != "number" else (*_SAME, *_ORDER)):
                self._refuse(before, f"A {kind} is compared by == and !=")
            parts.append(part)
        written = ast.Compare(
            left=parts[0].node, ops=node.ops, comparators=[part.node for part in parts[1:]]
        )
        unknowns = tuple(name for part in parts for name in part.unknowns)
        return _Part(_guarded(written, unknowns), "flag")

    def _choices(self, node: ast.expr, kind: Kind, depth: int) -> _Part:
        if not isinstance(node, ast.Tuple | ast.List | ast.Set):
            self._refuse(node, "`in` needs a list such as ('GB', 'FR')")
        if len(node.elts) > _MOST_CHOICES:
            self._refuse(node, f"There are more than {_MOST_CHOICES} choices")
        found: set[Any] = set()
        for one in node.elts:
            part = self._part(one, depth + 1)
            if not isinstance(part.node, ast.Constant):
                self._refuse(one, "A choice is a number or a text")
            if part.kind != kind:
                self._refuse(one, f"A {kind} cannot be compared with a {part.kind}")
            found.add(part.node.value)
        # What the compiler makes of a literal set behind `in`; typeshed knows of no such constant.
        choices: Any = frozenset(found)
        return _Part(ast.Constant(choices), kind)

    def _literal(self, node: ast.Constant) -> _Part:
        value = node.value
        if isinstance(value, bool):
            return _Part(ast.Constant(value), "flag")
        if isinstance(value, (int, float)):
            if not -_LARGEST <= value <= _LARGEST:
                self._refuse(node, "The number is too large")
            return _Part(ast.Constant(value), "number")
        if not isinstance(value, str):
            self._refuse(node, "Only numbers, texts, True and False can be written")
        if len(value) > _MOST_TEXT:
            self._refuse(node, f"The text is longer than {_MOST_TEXT} characters")
        return _Part(ast.Constant(value), "text")

    def _field(self, node: ast.Name) -> _Part:
        known = FIELDS.get(node.id)
        if known is None:
            called = f"{node.id[:40]} is called: {node.id}(…)"
            unknown = f"There is no {node.id[:40]!r}"
            self._refuse(node, called if node.id in CALLS else unknown)
        name = self._load(node.id, f"{{}} = c.{node.id}")
        return _Part(_read(name), known.kind, (name,) if known.can_lack else ())

    def _call(self, node: ast.Call, depth: int) -> _Part:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "known":
            if (
                len(node.args) != 1
                or node.keywords
                or not isinstance(node.args[0], ast.Name | ast.Call)
            ):
                self._refuse(node, "known takes one word, such as known(device)")
            part = self._part(node.args[0], depth + 1)
            truth: ast.expr = _guarded(ast.Constant(True), part.unknowns)
            return _Part(truth, "flag")
        if name == "metadata":
            (key, *more), named = self._arguments(node)
            if more or named or not isinstance(key, str):
                self._refuse(node, "metadata takes one text, such as metadata('channel')")
            local = self._load(f"metadata {key}", f"{{}} = c.metadata.get({key!r})")
            return _Part(_read(local), "text", (local,))
        if name not in CALLS:
            self._refuse(node, f"Only {', '.join(CALLS)}, metadata and known can be called")
        args, named = self._arguments(node)
        try:
            feature = feature_of(name, args, named)
        except ValueError as wrong:
            self._refuse(node, str(wrong))
        self.features[feature.name] = feature
        if len(self.features) > _MOST_FEATURES:
            self._refuse(node, f"It asks for more than {_MOST_FEATURES} features")
        kind: Kind = "text" if feature.measure == "previous" else "number"
        wrong_kind = "is not" if kind == "text" else "is"
        local = self._load(
            f"feature {feature.name}",
            f"{{}} = f.get({feature.name!r})\nif {{}}.__class__ {wrong_kind} text: {{}} = None",
        )
        return _Part(_read(local), kind, (local,))

    def _arguments(self, node: ast.Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
        values: list[Any] = []
        for one in (*node.args, *(named.value for named in node.keywords)):
            if not isinstance(one, ast.Constant) or not isinstance(one.value, (int, str)):
                self._refuse(one, "Write a number or a text here")
            values.append(self._literal(one) and one.value)
        names = [named.arg for named in node.keywords]
        if None in names or not values:
            self._refuse(node, "Write the arguments one by one")
        count = len(node.args)
        return tuple(values[:count]), dict(zip(map(str, names), values[count:], strict=True))

    def _number(self, node: ast.expr, depth: int) -> _Part:
        part = self._part(node, depth)
        if part.kind != "number":
            self._refuse(node, f"A {part.kind} cannot be reckoned with")
        return part

    def _truth(self, part: _Part, node: ast.expr) -> ast.expr:
        if part.kind != "flag":
            self._refuse(node, f"A {part.kind} is neither true nor false: compare it")
        return part.node

    def _load(self, what: str, statement: str) -> str:
        """The local that holds it; it is read once, before all else."""
        if what not in self.loads:
            name = f"v{len(self.loads)}"
            self.loads[what] = name, _statements(statement.replace("{}", name)).body
        return self.loads[what][0]

    def _refuse(self, node: ast.AST, problem: str) -> NoReturn:
        offset = getattr(node, "col_offset", 0)
        before = self.flat[self.begins :].encode()[:offset].decode(errors="ignore")
        raise ExpressionWrong(problem, position=self.begins + len(before) + 1)


_NOUNS: dict[type[ast.AST], str] = {
    ast.Attribute: "A dot",
    ast.Subscript: "An index",
    ast.Lambda: "A function",
    ast.IfExp: "An if",
    ast.JoinedStr: "A formatted text",
    ast.BinOp: "This sign",
    ast.UnaryOp: "This sign",
    ast.NamedExpr: "An assignment",
    ast.Tuple: "A list",
    ast.List: "A list",
    ast.Set: "A list",
}


def _statements(text: str) -> ast.Module:
    return ast.parse(text)


def _read(name: str) -> ast.Name:
    return ast.Name(id=name, ctx=ast.Load())


def _guarded(written: ast.expr, unknowns: Sequence[str]) -> ast.expr:
    """Written so that it is false where one of these is None."""
    guards: list[ast.expr] = [
        ast.Compare(left=_read(name), ops=[ast.IsNot()], comparators=[ast.Constant(None)])
        for name in dict.fromkeys(unknowns)
    ]
    return ast.BoolOp(op=ast.And(), values=[*guards, written]) if guards else written
