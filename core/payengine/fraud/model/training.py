"""How does a model learn from examples?

By gradient-boosted trees, held back on purpose: where one payment in a hundred is a fraud, what is
left to its defaults learns single payments by heart. Needs the extra `train`; scoring does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from payengine.errors import ConfigurationError
from payengine.fraud.model.candidates import features_of
from payengine.plugin.trees import Calibration, Input, Scorer, Tree, TreeModel, Window, sealed

if TYPE_CHECKING:
    import numpy

__all__ = ["Examples", "Recipe", "fit", "learnt", "numbers", "scores"]

_EXTRA = "Training needs more packages: install payengine[train]."
_SEED = 7
#: A split in time: the last part tells what the scores are worth.
_HELD_BACK = 0.25
_FEWEST_FRAUDS = 20
_FEWEST_TO_CALIBRATE = 30
#: Below so many known frauds, trees are kept smaller: leaves, payments in a leaf, share of inputs.
_FEW = 1_000
_FOR_FEW = (6, 100, 0.4)
_FOR_MANY = (16, 50, 0.6)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How trees are grown. What is None goes by how many frauds are known: of few, less is learned.

    Many bins, because a limit that fraud begins at lies between two of few.
    """

    trees: int = 200
    leaves: int | None = None
    rate: float = 0.05
    fewest_in_leaf: int | None = None
    lambda_l2: float = 5.0
    share_of_inputs: float | None = None
    share_of_payments: float = 0.8
    bins: int = 4_095


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """Payments in the order of time: their inputs, and whether they are known to be frauds.

    `rows` is flat, `len(inputs)` numbers for each payment, NaN for what is missing.
    """

    inputs: tuple[Input, ...]
    rows: Sequence[float]
    frauds: Sequence[int]


def fit(
    examples: Examples,
    *,
    name: str,
    window: tuple[str, str, str],
    recipe: Recipe | None = None,
    key: bytes | None = None,
) -> TreeModel:
    """A model of the examples, calibrated on their last quarter and then grown on all of them.

    `window` says when the payments began and ended and until when labels were known. Raises
    `ConfigurationError` without the extra, `ValueError` where too few frauds are known.
    """
    recipe = recipe or Recipe()
    table, frauds = numbers(examples)
    known = int(frauds.sum())
    if known < _FEWEST_FRAUDS:
        raise ValueError(f"{known} frauds are known; at least {_FEWEST_FRAUDS} are needed")
    kept = _telling(table)
    inputs = tuple(examples.inputs[index] for index in kept)
    table = table[:, kept]
    begin = round(len(frauds) * (1 - _HELD_BACK))
    calibration = Calibration()
    if frauds[begin:].sum() >= _FEWEST_TO_CALIBRATE and frauds[:begin].sum() >= _FEWEST_FRAUDS:
        early = _grown(table[:begin], frauds[:begin], recipe)
        calibration = _platt(early.predict(table[begin:], raw_score=True), frauds[begin:])
    grown = _grown(table, frauds, recipe)
    trees = tuple(_trees(grown))
    model = TreeModel(
        name=name,
        inputs=inputs,
        features=features_of(inputs),
        trees=trees,
        calibration=calibration,
        window=Window(
            begin=window[0],
            end=window[1],
            labels_until=window[2],
            payments=len(frauds),
            frauds=known,
        ),
    )
    return sealed(model, key=key)


def learnt(model: TreeModel) -> dict[str, float]:
    """Each input's share of all splits, the largest first."""
    counts = [0] * len(model.inputs)
    for tree in model.trees:
        for each in tree.inputs:
            counts[each] += 1
    shares = {
        each.name: count / (sum(counts) or 1)
        for each, count in zip(model.inputs, counts, strict=True)
    }
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def numbers(examples: Examples) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
    """The examples as arrays; raises `ConfigurationError` without the extra."""
    try:
        import numpy as np
    except ImportError:
        raise ConfigurationError(_EXTRA) from None
    table = np.asarray(examples.rows, dtype=np.float64).reshape(-1, len(examples.inputs))
    return table, np.asarray(examples.frauds, dtype=np.int8)


def _telling(table: numpy.ndarray[Any, Any]) -> list[int]:
    """The columns that are not the same everywhere."""
    import numpy as np

    kept = []
    for index in range(table.shape[1]):
        column = table[:, index]
        there = column[~np.isnan(column)]
        if len(there) and (there.min() < there.max() or len(there) < len(column)):
            kept.append(index)
    if not kept:
        raise ValueError("the payments are all alike")
    return kept


def _grown(table: Any, frauds: Any, recipe: Recipe) -> Any:
    try:
        import lightgbm
    except ImportError:
        raise ConfigurationError(_EXTRA) from None
    leaves, fewest, share = _FOR_FEW if int(frauds.sum()) < _FEW else _FOR_MANY
    leaves, fewest = recipe.leaves or leaves, recipe.fewest_in_leaf or fewest
    settings = {
        "objective": "binary",
        "learning_rate": recipe.rate,
        "num_leaves": leaves,
        "min_data_in_leaf": min(fewest, max(5, len(frauds) // 50)),
        "lambda_l2": recipe.lambda_l2,
        "feature_fraction": recipe.share_of_inputs or share,
        "bagging_fraction": recipe.share_of_payments,
        "bagging_freq": 1,
        "max_bin": recipe.bins,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "seed": _SEED,
        "verbose": -1,
    }
    data = lightgbm.Dataset(table, label=frauds, params=settings)
    return lightgbm.train(settings, data, num_boost_round=recipe.trees)


def _platt(margins: Any, frauds: Any) -> Calibration:
    """Slope and intercept by which margins are probabilities (Platt, 1999), by Newton's steps."""
    import numpy as np

    slope, intercept = 1.0, 0.0
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-(slope * margins + intercept)))
        weight = np.maximum(p * (1 - p), 1e-9)
        gradient = np.array([((p - frauds) * margins).sum(), (p - frauds).sum()])
        cross = (weight * margins).sum()
        hessian = np.array([[(weight * margins**2).sum(), cross], [cross, weight.sum()]])
        step = np.linalg.solve(hessian + 1e-6 * np.eye(2), gradient)
        slope, intercept = slope - step[0], intercept - step[1]
        if float(np.abs(step).max()) < 1e-8:
            break
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope <= 0:
        return Calibration()
    return Calibration(slope=float(slope), intercept=float(intercept))


def _trees(grown: Any) -> Iterator[Tree]:
    for tree in grown.dump_model()["tree_info"]:
        yield _tree(tree["tree_structure"])


def _tree(root: dict[str, Any]) -> Tree:
    """The nodes in the order in which they are met from the root down."""
    nodes: list[dict[str, Any]] = []
    leaves: list[float] = []

    def placed(node: dict[str, Any]) -> int:
        if "split_feature" not in node:
            leaves.append(float(node["leaf_value"]))
            return -len(leaves)
        nodes.append(node)
        return len(nodes) - 1

    placed(root)
    left: list[int] = []
    right: list[int] = []
    while len(left) < len(nodes):
        node = nodes[len(left)]
        left.append(placed(node["left_child"]))
        right.append(placed(node["right_child"]))
    return Tree(
        inputs=tuple(int(node["split_feature"]) for node in nodes),
        thresholds=tuple(float(node["threshold"]) for node in nodes),
        missing_left=tuple(_missing_left(node) for node in nodes),
        left=tuple(left),
        right=tuple(right),
        values=tuple(leaves),
    )


def _missing_left(node: dict[str, Any]) -> bool:
    if node["decision_type"] != "<=":
        raise ValueError("only comparisons can be written down")
    if node["missing_type"] == "NaN":
        return bool(node["default_left"])
    return float(node["threshold"]) >= 0.0  # it was never missing, and counts as 0


def scores(model: TreeModel, examples: Examples) -> list[float]:
    """The model's scores of examples that hold more inputs than it learned from."""
    places = {each: index for index, each in enumerate(examples.inputs)}
    chosen = [places[each] for each in model.inputs]
    scorer = Scorer(model)
    width = len(examples.inputs)
    rows = examples.rows
    return [
        scorer.score_vector([rows[start + place] for place in chosen])
        for start in range(0, len(rows), width)
    ]
