"""Is this document a model of trees, whole and unchanged?

A model is canonical JSON and nothing else: numbers and checked names, never code. Whoever reads
one checks it before it scores anything: every index is in bounds, every node of a tree hangs from
exactly one earlier node, so that no walk can go round, and the fingerprint is that of the content.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from payengine.plugin.features import Feature
from payengine.plugin.trees.inputs import Input, check_inputs

__all__ = [
    "Calibration",
    "ModelInvalid",
    "Tree",
    "TreeModel",
    "Window",
    "encoded",
    "read",
    "sealed",
]

_FORMAT = "payengine.trees/1"
_MOST_TREES = 1_000
_MOST_LEAVES = 256
_MOST_DEPTH = 40
_MOST_INPUTS = 200
_LARGEST_BYTES = 8_000_000
_MOST_TEXT = 200


class ModelInvalid(ValueError):
    """The document is no model, or not the one that was sealed."""


class Tree(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tree; node 0 is its root, and a tree without nodes has one leaf.

    A payment goes left where its input is at most the threshold, and where the input is missing
    to the side that `missing_left` says. A child of 0 or more is a node, one below 0 the leaf
    `-1 - child` of `values`.
    """

    inputs: tuple[int, ...]
    thresholds: tuple[float, ...]
    missing_left: tuple[bool, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    values: tuple[float, ...]


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A probability is `1 / (1 + exp(-(slope * margin + intercept)))`."""

    slope: float = 1.0
    intercept: float = 0.0


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which payments it learned from, and until when labels were known; ISO 8601 instants."""

    begin: str
    end: str
    labels_until: str
    payments: int
    frauds: int


class TreeModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document. `sha256` is over everything but itself and the signature."""

    format: str = _FORMAT
    name: str
    inputs: tuple[Input, ...]
    features: tuple[Feature, ...]
    trees: tuple[Tree, ...]
    base: float = 0.0
    calibration: Calibration = Calibration()
    window: Window
    metrics: Mapping[str, float] = {}
    sha256: str = ""
    signature: str = ""


def encoded(model: TreeModel) -> bytes:
    """Canonical JSON: keys in order, no spaces, the shortest spelling of each number."""
    return msgspec.json.encode(msgspec.to_builtins(model), order="sorted")


def sealed(model: TreeModel, *, key: bytes | None = None) -> TreeModel:
    """The model with its fingerprint, and signed (HMAC-SHA-256) where a key is given.

    Raises `ModelInvalid`.
    """
    _check(model)
    digest = hashlib.sha256(_content(model)).hexdigest()
    return msgspec.structs.replace(model, sha256=digest, signature=_signature(digest, key))


def read(document: bytes | str, *, key: bytes | None = None) -> TreeModel:
    """The model in a document; with a key its signature must fit. Raises `ModelInvalid`."""
    if len(document) > _LARGEST_BYTES:
        raise ModelInvalid("The document is too long.")
    try:
        model = msgspec.json.decode(document, type=TreeModel)
    except (msgspec.DecodeError, ValueError, RecursionError) as problem:
        raise ModelInvalid(f"The document is no model: {str(problem)[:200]}") from None
    _check(model)
    digest = hashlib.sha256(_content(model)).hexdigest()
    if not hmac.compare_digest(digest, model.sha256):
        raise ModelInvalid("The fingerprint is not that of the content.")
    if key is not None and not hmac.compare_digest(
        _signature(digest, key).encode(), model.signature.encode()
    ):
        raise ModelInvalid("The signature does not fit.")
    return model


def _content(model: TreeModel) -> bytes:
    return encoded(msgspec.structs.replace(model, sha256="", signature=""))


def _signature(digest: str, key: bytes | None) -> str:
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest() if key else ""


def _check(model: TreeModel) -> None:
    if model.format != _FORMAT:
        raise ModelInvalid(f"The format is not {_FORMAT}.")
    if not 0 < len(model.name) <= _MOST_TEXT or not model.name.isprintable():
        raise ModelInvalid("A model has a name of at most 200 printable characters.")
    if not 0 < len(model.inputs) <= _MOST_INPUTS:
        raise ModelInvalid(f"A model has 1 to {_MOST_INPUTS} inputs.")
    if not 0 < len(model.trees) <= _MOST_TREES:
        raise ModelInvalid(f"A model has 1 to {_MOST_TREES} trees.")
    try:
        check_inputs(model.inputs, model.features)
    except ValueError as problem:
        raise ModelInvalid(str(problem)) from None
    numbers = (model.base, model.calibration.slope, model.calibration.intercept)
    if not _finite((*numbers, *model.metrics.values())):
        raise ModelInvalid("A number is not finite.")
    if model.calibration.slope < 0:
        raise ModelInvalid("A calibration may not turn the order round.")
    for number, tree in enumerate(model.trees):
        problem_found = _fault(tree, inputs=len(model.inputs))
        if problem_found:
            raise ModelInvalid(f"Tree {number}: {problem_found}.")


def _fault(tree: Tree, *, inputs: int) -> str:
    nodes, leaves = len(tree.inputs), len(tree.values)
    columns: tuple[Sequence[Any], ...] = (
        tree.thresholds,
        tree.missing_left,
        tree.left,
        tree.right,
    )
    if any(len(column) != nodes for column in columns) or leaves != nodes + 1:
        return "its columns do not fit together"
    if leaves > _MOST_LEAVES:
        return f"it has more than {_MOST_LEAVES} leaves"
    if not _finite(tree.thresholds) or not _finite(tree.values):
        return "a number is not finite"
    if any(not 0 <= each < inputs for each in tree.inputs):
        return "it asks for an input that there is not"
    depth = [1] * nodes
    hung: set[int] = set()
    for node in range(nodes):
        for child in (tree.left[node], tree.right[node]):
            if child in hung or not -leaves <= child < nodes or 0 <= child <= node:
                return "its nodes do not make a tree"
            hung.add(child)
            if child > 0:
                depth[child] = depth[node] + 1
                if depth[child] > _MOST_DEPTH:
                    return f"it is deeper than {_MOST_DEPTH}"
    return ""


def _finite(numbers: Sequence[float]) -> bool:
    return all(math.isfinite(each) for each in numbers)
