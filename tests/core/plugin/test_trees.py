"""A model is what its document says, whole and unchanged, or nothing."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from payengine.plugin import FraudContext, seen, velocity
from payengine.plugin.trees import (
    Calibration,
    Input,
    ModelInvalid,
    Scorer,
    Tree,
    TreeModel,
    Window,
    encoded,
    margin_of,
    read,
    sealed,
    vector_of,
)

COUNT = velocity("card", "count", "1h")
BEFORE = seen("customer", "previous", of="device")
TREE = Tree(
    inputs=(0, 1),
    thresholds=(2.5, 100.0),
    missing_left=(True, False),
    left=(-1, -2),
    right=(1, -3),
    values=(-1.0, 0.5, 2.0),
)
WINDOW = Window(begin="2020-01-01", end="2020-02-01", labels_until="2020-02-01",
                payments=10, frauds=1)  # fmt: skip
MODEL = TreeModel(
    name="small",
    inputs=(Input("number", (COUNT.name,)), Input("number", ("base_minor",))),
    features=(COUNT,),
    trees=(TREE,),
    window=WINDOW,
)


def context(features: dict[str, Any], **more: Any) -> FraudContext:
    return FraudContext(
        tenant="t",
        stage="pre_auth",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
        payment_id="pay_1",
        amount_minor=500,
        currency="EUR",
        base_minor=500,
        base_currency="EUR",
        features=features,
        **more,
    )


def walked(tree: Tree, row: list[float]) -> float:
    """The leaf, found node by node."""
    node = 0 if tree.inputs else -1
    while node >= 0:
        value = row[tree.inputs[node]]
        left = tree.missing_left[node] if math.isnan(value) else value <= tree.thresholds[node]
        node = tree.left[node] if left else tree.right[node]
    return tree.values[-1 - node]


def grown(chance: random.Random, *, inputs: int, leaves: int) -> Tree:
    """A tree of a random shape: leaves are split one after the other."""
    columns: list[list[Any]] = [[], [], [], [], []]
    open_ends: list[tuple[list[Any], int] | None] = [None]
    while len(open_ends) < leaves:
        place = open_ends.pop(chance.randrange(len(open_ends)))
        node = len(columns[0])
        if place is not None:
            place[0][place[1]] = node
        for column, value in zip(
            columns,
            (chance.randrange(inputs), chance.uniform(-2, 2), chance.random() < 0.5, None, None),
            strict=True,
        ):
            column.append(value)
        open_ends += [(columns[3], node), (columns[4], node)]
    for number, place in enumerate(open_ends):
        assert place is not None
        place[0][place[1]] = -1 - number
    values = tuple(chance.uniform(-1, 1) for _ in range(leaves))
    return Tree(
        inputs=tuple(columns[0]),
        thresholds=tuple(columns[1]),
        missing_left=tuple(columns[2]),
        left=tuple(columns[3]),
        right=tuple(columns[4]),
        values=values,
    )


def test_compiled_trees_fall_into_the_same_leaves() -> None:
    chance = random.Random(5)
    trees = [grown(chance, inputs=4, leaves=leaves) for leaves in (2, 5, 16, 31)]
    margin = margin_of(trees, base=0.25)
    for _ in range(300):
        row = [
            math.nan if chance.random() < 0.2 else chance.choice((chance.uniform(-3, 3), 0.0))
            for _ in range(4)
        ]
        assert margin(row) == pytest.approx(0.25 + sum(walked(tree, row) for tree in trees))


def test_what_is_at_the_threshold_goes_left() -> None:
    margin = margin_of([TREE])
    assert margin([2.5, 0.0]) == -1.0
    assert margin([2.6, 100.0]) == 0.5
    assert margin([2.6, math.nan]) == 2.0
    assert margin([math.nan, 0.0]) == -1.0


def test_document_comes_back_as_it_was_sealed() -> None:
    model = sealed(MODEL, key=b"k" * 32)
    assert read(encoded(model), key=b"k" * 32) == model
    assert encoded(read(encoded(model))) == encoded(model)


def test_another_key_did_not_sign_it() -> None:
    with pytest.raises(ModelInvalid, match="signature"):
        read(encoded(sealed(MODEL, key=b"a" * 32)), key=b"b" * 32)
    with pytest.raises(ModelInvalid, match="signature"):
        read(encoded(sealed(MODEL)), key=b"b" * 32)


def test_a_changed_number_breaks_the_fingerprint() -> None:
    document = encoded(sealed(MODEL))
    assert b"2.5" in document
    with pytest.raises(ModelInvalid, match="fingerprint"):
        read(document.replace(b"2.5", b"2.4", 1))


def changed(**columns: Any) -> TreeModel:
    tree = msgspec.structs.replace(TREE, **columns)
    return msgspec.structs.replace(MODEL, trees=(TREE, tree))


@pytest.mark.parametrize(
    "model",
    [
        changed(left=(0, -2)),  # round and round
        changed(right=(-1, -3)),  # a leaf twice, a node never
        changed(left=(-1, 0)),  # back up
        changed(right=(7, -3)),
        changed(left=(-9, -2)),
        changed(inputs=(0, 2)),
        changed(inputs=(0, -1)),
        changed(thresholds=(2.5, math.inf)),
        changed(values=(1.0, math.nan, 0.0)),
        changed(values=(1.0, 2.0)),
        changed(missing_left=(True,)),
        msgspec.structs.replace(MODEL, trees=()),
        msgspec.structs.replace(MODEL, inputs=(Input("number", ("card.count.1d",)),)),
        msgspec.structs.replace(MODEL, inputs=(Input("number", ("__class__",)),)),
        msgspec.structs.replace(MODEL, inputs=(Input("same", ("tenant", "currency")),)),
        msgspec.structs.replace(MODEL, inputs=(Input("ratio", ("base_minor",)),)),
        msgspec.structs.replace(MODEL, calibration=Calibration(slope=-1.0)),
        msgspec.structs.replace(MODEL, base=math.nan),
        msgspec.structs.replace(MODEL, format="pickle"),
    ],
)
def test_what_is_no_model_is_refused(model: TreeModel) -> None:
    with pytest.raises(ModelInvalid):
        sealed(model)


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"trees": 1}', b"\x80\x04K\x01."])
def test_other_documents_are_refused(document: bytes) -> None:
    with pytest.raises(ModelInvalid):
        read(document)


def test_a_tree_too_deep_is_refused() -> None:
    depth = 60
    deep = Tree(
        inputs=(0,) * depth,
        thresholds=(0.0,) * depth,
        missing_left=(True,) * depth,
        left=tuple(-1 - each for each in range(depth)),
        right=(*range(1, depth), -1 - depth),
        values=(0.0,) * (depth + 1),
    )
    with pytest.raises(ModelInvalid, match="deeper"):
        sealed(msgspec.structs.replace(MODEL, trees=(deep,)))


def test_inputs_are_made_of_fields_and_facts() -> None:
    inputs = (
        Input("number", ("base_minor",)),
        Input("number", ("account_age_days",)),
        Input("ratio", ("base_minor", COUNT.name)),
        Input("same", ("issuer_country", "ip_country")),
        Input("again", (BEFORE.name,)),
        Input("is", ("email_domain", "example.org")),
    )
    vector = vector_of(inputs, (COUNT, BEFORE))
    known = vector(
        context(
            {COUNT.name: 4, BEFORE.name: "d1"},
            account_age_days=3,
            issuer_country="FR",
            ip_country="DE",
            device="d1",
            email_domain="example.org",
        )
    )
    assert known == [500, 3, 125.0, 0.0, 1.0, 1.0]
    unknown = vector(context({COUNT.name: 0, BEFORE.name: None}))
    assert unknown[0] == 500
    assert all(math.isnan(each) for each in unknown[1:])


def test_a_score_is_a_calibrated_probability() -> None:
    model = msgspec.structs.replace(MODEL, calibration=Calibration(slope=2.0, intercept=-1.0))
    scorer = Scorer(sealed(model))
    assert scorer.score(context({COUNT.name: 1})) == pytest.approx(1 / (1 + math.exp(3)))
    assert scorer.score(context({COUNT.name: 9})) == pytest.approx(1 / (1 + math.exp(-3)))
    assert 0.0 <= scorer.probability(-1e9) < 1e-300
    assert scorer.probability(1e9) == 1.0
