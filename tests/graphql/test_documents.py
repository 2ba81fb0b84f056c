"""Documents are read once and kept within bounds."""

from __future__ import annotations

import pytest
from payengine.errors import QueryRefused
from payengine_graphql import documents
from payengine_graphql.documents import DocumentInvalid, Documents
from payengine_graphql.refusals import QueryInvalid
from payengine_graphql.schema import core_schema


def test_the_same_text_is_read_once() -> None:
    kept = Documents(core_schema(), is_development=True)
    assert kept.prepare("{ viewer { actor } }") is kept.prepare("{ viewer { actor } }")


def test_the_number_of_kept_documents_is_bounded() -> None:
    kept = Documents(core_schema(), is_development=True)
    first = kept.prepare("{ viewer { actor } }")
    for number in range(documents._MAX_DOCUMENTS + 1):
        kept.prepare(f"{{ a{number}: viewer {{ actor }} }}")
    assert len(kept._kept) == documents._MAX_DOCUMENTS
    assert kept.prepare("{ viewer { actor } }") is not first


def test_the_bytes_of_kept_documents_are_bounded() -> None:
    kept = Documents(core_schema(), is_development=True)
    for number in range(40):
        kept.prepare(f"{{ a{number}: viewer {{ actor }} }}" + "," * 30_000)
    assert kept._bytes <= documents._MAX_KEPT_BYTES
    assert kept._bytes == sum(size for _, size in kept._kept.values())


def test_what_is_refused_is_not_kept() -> None:
    kept = Documents(core_schema(), is_development=True)
    for text in (
        "{ nothing }",
        "{ payments(first: 100) { nodes { attempts { operations { id }}}}}",
    ):
        with pytest.raises((DocumentInvalid, QueryRefused)):
            kept.prepare(text)
    assert not kept._kept


def test_one_of_several_operations_is_named() -> None:
    prepared = Documents(core_schema(), is_development=True).prepare(
        "query A { viewer { actor } } query B { viewer { scopes } }"
    )
    assert prepared.operation("B", {}).name is not None
    for name in (None, "C"):
        with pytest.raises(QueryInvalid):
            prepared.operation(name, {})


def test_production_tells_no_names() -> None:
    secretive = Documents(core_schema(), is_development=False)
    helpful = Documents(core_schema(), is_development=True)
    for kept, tells in ((secretive, False), (helpful, True)):
        with pytest.raises(DocumentInvalid) as refused:
            kept.prepare("{ payment(id: 1) { statu } }")
        assert ("status" in str(refused.value)) is tells
    with pytest.raises(DocumentInvalid):
        secretive.prepare("{ __schema { types { name } } }")
    helpful.prepare("{ __schema { types { name } } }")
