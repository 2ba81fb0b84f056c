"""A job names a kind and a row, and nothing that could carry a payload."""

from __future__ import annotations

import uuid

import pytest
from payengine.errors import InputInvalid
from payengine.jobs import Handler
from payengine.jobs.models import Payload, check_kind, entrypoint_of, kind_of


@pytest.mark.parametrize("kind", ["tidy", "queue.tidy", "a1_b.c2.d"])
def test_a_kind_is_lower_case_words_with_dots(kind: str) -> None:
    assert check_kind(kind) == kind
    assert kind_of(entrypoint_of(kind, uuid.uuid4())) == kind


@pytest.mark.parametrize("kind", ["", "Queue", "a:b", "a.", ".a", "a b", "1a", "é", "a" * 61])
def test_what_is_no_kind_is_refused(kind: str) -> None:
    async def handle(tenant_id: uuid.UUID, row_id: str) -> None: ...

    with pytest.raises(InputInvalid):
        Payload(uuid.uuid4(), kind, "row")
    with pytest.raises(InputInvalid):
        Handler(kind, handle)


@pytest.mark.parametrize("row_id", ["", "x" * 201, "a\nb", "\0", "é"])
def test_what_names_no_row_is_refused(row_id: str) -> None:
    with pytest.raises(InputInvalid):
        Payload(uuid.uuid4(), "test.go", row_id)
