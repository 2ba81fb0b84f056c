"""What would a straight line have said?

Logistic regression, the simplest thing that learns: trees that are no better are not worth having.
"""

from __future__ import annotations

from typing import Any

from payengine.fraud.model.training import Examples, numbers

__all__ = ["logistic_scores"]

_STEPS = 30
_RIDGE = 1.0
_MOST_SPREADS = 8.0


def logistic_scores(learned: Examples, later: Examples) -> list[float]:
    """Its scores of the later payments, which have the same inputs.

    Missing numbers are the median, amounts and counts are taken by their logarithm and all are
    brought to one scale by the learned payments alone.
    """
    import numpy as np

    table, frauds = numbers(learned)
    other, _ = numbers(later)
    with np.errstate(all="ignore"):
        shrink = np.nanmax(np.abs(np.where(np.isnan(table), 0.0, table)), axis=0) > 20
    middle = _middle(np.where(shrink, _log(table), table))

    def prepared(raw: Any) -> Any:
        shrunk = np.where(shrink, _log(raw), raw)
        return np.where(np.isnan(shrunk), middle, shrunk)

    seen = prepared(table)
    mean, spread = seen.mean(axis=0), seen.std(axis=0)
    spread[spread == 0] = 1.0

    def scaled(raw: Any) -> Any:
        near = np.clip((prepared(raw) - mean) / spread, -_MOST_SPREADS, _MOST_SPREADS)
        return np.column_stack([np.ones(len(near)), near])

    weights = _fitted(scaled(table), frauds)
    scores: list[float] = (1.0 / (1.0 + np.exp(-scaled(other) @ weights))).tolist()
    return scores


def _log(raw: Any) -> Any:
    import numpy as np

    return np.sign(raw) * np.log1p(np.abs(raw))


def _middle(raw: Any) -> Any:
    """The median of what is there, column by column; 0 where nothing is."""
    import numpy as np

    return np.array(
        [
            np.median(column[~np.isnan(column)]) if (~np.isnan(column)).any() else 0.0
            for column in raw.T
        ]
    )


def _fitted(table: Any, frauds: Any) -> Any:
    """The weights, by Newton's method with a ridge."""
    import numpy as np

    weights = np.zeros(table.shape[1])
    ridge = _RIDGE * np.eye(table.shape[1])
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(table @ weights, -30, 30)))
        gradient = table.T @ (p - frauds) + ridge @ weights
        hessian = (table * np.maximum(p * (1 - p), 1e-6)[:, None]).T @ table + ridge
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if float(np.abs(step).max()) < 1e-6:
            break
    return weights
