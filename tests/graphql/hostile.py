"""Documents that nobody sends who means well, with the code that refuses each."""

from __future__ import annotations

__all__ = ["HOSTILE", "doubling"]


def doubling(levels: int) -> str:
    """Fragments of which each uses the next one twice: 2 ** levels fields in few bytes."""
    spreads = " ".join(
        f"fragment F{level} on Query {{ ...F{level + 1} ...F{level + 1} }}"
        for level in range(levels)
    )
    return f"{{ ...F0 }} {spreads} fragment F{levels} on Query {{ viewer {{ actor }} }}"


def _repeated(text: str, times: int) -> str:
    return " ".join(text.replace("%", str(number)) for number in range(times))


HOSTILE: dict[str, tuple[str, str]] = {
    "deep nesting": (
        "{ payment(id: 1) " + "{ operations { payment " * 30 + "{ id }" + "} }" * 30 + "}",
        "QUERY_REFUSED",
    ),
    "deeper than the parser goes": ("{ a(b: " + "[" * 5_000, "QUERY_REFUSED"),
    "doubling fragments": (doubling(20), "QUERY_REFUSED"),
    "long chains of fragments": (doubling(60), "QUERY_REFUSED"),
    "circular fragments": (
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "QUERY_REFUSED",
    ),
    "aliases of a list": (
        "{" + _repeated("a%: payments { nodes { id } }", 150) + "}",
        "QUERY_REFUSED",
    ),
    "aliases in a list": (
        "{ payments(first: 100) { nodes {" + _repeated("a%: status", 200) + "} } }",
        "QUERY_REFUSED",
    ),
    "aliases of a mutation": (
        "mutation {"
        + _repeated(
            'a%: voidPayment(input: {idempotencyKey: "k", paymentId: "p"}) { errors { code } }', 40
        )
        + "}",
        "QUERY_REFUSED",
    ),
    "one name over and over": (
        "{ payments { nodes {" + "status " * 200 + "} } }",
        "QUERY_REFUSED",
    ),
    "lists in lists": (
        "{ payments(first: 100) { nodes { operations(first: 100) { payment { operations { id } } "
        "} } } }",
        "QUERY_REFUSED",
    ),
    "a huge list": (
        "{ nodes(ids: [" + '"pay_0", ' * 1_500 + "]) { id } }",
        "INPUT_INVALID",
    ),
    "ten thousand tokens": ("{ viewer {" + "actor " * 10_000 + "} }", "QUERY_REFUSED"),
    "comments without end": ("{ viewer { actor } }" + "#\n" * 2_000, "QUERY_REFUSED"),
    "many introspections": (
        "{" + _repeated("a%: __schema { types { name } }", 20) + "}",
        "QUERY_REFUSED",
    ),
    "introspection in circles": (
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
        "QUERY_INVALID",
    ),
    "no such field": ("{ secrets }", "QUERY_INVALID"),
    "no document": ("", "QUERY_INVALID"),
    "no language": ("SELECT 1", "QUERY_INVALID"),
    "a type definition": ("type A { b: Int }", "QUERY_INVALID"),
    "a subscription": ("subscription { paymentEvents { cursor } }", "QUERY_REFUSED"),
}
