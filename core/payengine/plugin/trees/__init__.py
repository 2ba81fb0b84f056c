"""What does a learned model look like, and what does it say of a payment?"""

from __future__ import annotations

from payengine.plugin.trees.document import (
    Calibration,
    ModelInvalid,
    Tree,
    TreeModel,
    Window,
    encoded,
    read,
    sealed,
)
from payengine.plugin.trees.inputs import Input, Vector, check_inputs, vector_of
from payengine.plugin.trees.scoring import Scorer, TakesModel, margin_of

__all__ = [
    "Calibration",
    "Input",
    "ModelInvalid",
    "Scorer",
    "TakesModel",
    "Tree",
    "TreeModel",
    "Vector",
    "Window",
    "check_inputs",
    "encoded",
    "margin_of",
    "read",
    "sealed",
    "vector_of",
]
