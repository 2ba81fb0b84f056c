"""Is every token refused that is not exactly what Apple signed for this merchant, just now?"""

from __future__ import annotations

import base64
import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from payengine.plugin import WalletRefused
from payengine_apple_pay import ApplePayKeys, decrypt
from payengine_apple_pay.testing import (
    INTERMEDIATE_MARK,
    LEAF_MARK,
    PAYLOAD,
    AppleOfTest,
    Issued,
)

NOW = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
#: How many malformed tokens and how many flipped bits of each field are tried.
HOSTILE = int(os.environ.get("PAYENGINE_HOSTILE_TOKENS", "10000"))
FLIPS = int(os.environ.get("PAYENGINE_HOSTILE_FLIPS", "400"))


@pytest.fixture(scope="module")
def apple() -> AppleOfTest:
    """A small Apple with one merchant."""
    return AppleOfTest(NOW)


def refusal(token: Any, keys: Any, now: datetime = NOW) -> str:
    """The reason for which the token is refused; fails where it is taken."""
    with pytest.raises(WalletRefused) as refused:
        decrypt(token, keys, now)
    assert "4802370000000009" not in f"{refused.value} {refused.value.__cause__}"
    return refused.value.reason


def place(token: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *above, name = path.split(".")
    for step in above:
        token = token[step]
    return token, name


def flips(data: bytes, seed: str) -> Iterator[bytes]:
    """The data with one bit turned: all of them where they are few, else a seeded choice."""
    bits = range(8 * len(data))
    chosen = bits if len(bits) <= FLIPS else random.Random(seed).sample(bits, FLIPS)
    for bit in chosen:
        turned = bytearray(data)
        turned[bit // 8] ^= 1 << bit % 8
        yield bytes(turned)


@pytest.mark.parametrize(
    "path", ["data", "signature", "header.ephemeralPublicKey", "header.publicKeyHash"]
)
def test_each_bit_of_the_bytes_counts(apple: AppleOfTest, path: str) -> None:
    token, keys = apple.token(), ApplePayKeys(**apple.keys)
    inner, name = place(token, path)
    for turned in flips(base64.b64decode(inner[name]), path):
        changed = copy.deepcopy(token)
        inner, name = place(changed, path)
        inner[name] = base64.b64encode(turned).decode()
        refusal(changed, keys)


def test_each_bit_of_the_text_counts(apple: AppleOfTest) -> None:
    token = apple.token(application_data=bytes(32))
    text, keys = json.dumps(token).encode(), ApplePayKeys(**apple.keys)
    assert decrypt(text, keys, NOW).payload() == PAYLOAD
    for turned in flips(text, "text"):
        refusal(turned, keys)


def test_second_spelling_of_the_same_bytes_is_refused(apple: AppleOfTest) -> None:
    token = apple.token()
    for path, respell in (
        ("header.transactionId", str.upper),
        ("header.publicKeyHash", lambda text: text.rstrip("=")),
        ("header.publicKeyHash", lambda text: f" {text}"),
        ("data", lambda text: text + "\n"),
    ):
        changed = copy.deepcopy(token)
        inner, name = place(changed, path)
        inner[name] = respell(inner[name])
        assert refusal(changed, apple.keys) == "malformed"


@pytest.mark.parametrize("version", ["EC_v2", "RSA_v1", "ec_v1", "", None, 1])
def test_other_versions_are_refused(apple: AppleOfTest, version: Any) -> None:
    assert refusal(apple.token() | {"version": version}, apple.keys) in ("protocol", "malformed")


def test_version_is_the_keys_own(apple: AppleOfTest) -> None:
    of_rsa = AppleOfTest(NOW, rsa_keys=True)
    token = of_rsa.token()
    token["header"]["publicKeyHash"] = apple.token()["header"]["publicKeyHash"]
    assert refusal(token, apple.keys) == "protocol"


def test_elliptic_signature_is_none_of_an_rsa_token(apple: AppleOfTest) -> None:
    of_rsa = AppleOfTest(NOW, rsa_keys=True)
    leaf = of_rsa.issue("A Leaf", by=of_rsa.intermediate, marks=[LEAF_MARK])
    token = of_rsa.token(signer=leaf, certificates=[leaf, of_rsa.intermediate])
    assert refusal(token, of_rsa.keys) == "protocol"


def test_weaker_digest_is_refused(apple: AppleOfTest) -> None:
    sha1 = hashes.SHA1()
    wrongs: list[dict[str, Any]] = [
        {"digest": "1.3.14.3.2.26", "hash_name": sha1},
        {"digest": "1.3.14.3.2.26"},
        {"hash_name": sha1},
    ]
    for wrong in wrongs:
        assert refusal(apple.token(**wrong), apple.keys) in ("protocol", "malformed", "signature")


def test_token_for_another_merchant_is_refused(apple: AppleOfTest) -> None:
    assert refusal(apple.token(), AppleOfTest(NOW).keys) == "recipient"
    assert refusal(apple.token(merchant_id="merchant.com.other"), apple.keys) == "recipient"
    assert refusal(apple.token(), apple.keys | {"merchant_id": "other"}) == "recipient"


def test_age_is_bounded_on_both_sides(apple: AppleOfTest) -> None:
    token = apple.token()
    for seconds in (0, 600, -60):
        decrypt(token, apple.keys, NOW + timedelta(seconds=seconds))
    for seconds in (601, -61, 86_400, -86_400):
        assert refusal(token, apple.keys, NOW + timedelta(seconds=seconds)) == "expired"
    strict = apple.keys | {"max_age": timedelta(seconds=5)}
    assert refusal(token, strict, NOW + timedelta(seconds=6)) == "expired"


def test_certificates_are_valid_when_they_sign_and_not_later(apple: AppleOfTest) -> None:
    short: dict[str, Any] = {"since": NOW - timedelta(days=9), "until": NOW - timedelta(days=1)}
    leaf = apple.issue("A Leaf", by=apple.intermediate, marks=[LEAF_MARK], **short)
    chain: dict[str, Any] = {"signer": leaf, "certificates": [leaf, apple.intermediate]}
    assert refusal(apple.token(**chain), apple.keys) == "expired"
    then = NOW - timedelta(days=2)
    long_ago = apple.keys | {"max_age": timedelta(days=30)}
    assert decrypt(apple.token(at=then, **chain), long_ago, NOW).signed_at == then


def test_signing_time_is_itself_signed(apple: AppleOfTest) -> None:
    token = apple.token(at=NOW - timedelta(days=30))
    signature = base64.b64decode(token["signature"])
    written = (NOW - timedelta(days=30)).strftime("%y%m%d%H%M%SZ").encode()
    assert written in signature
    forged = signature.replace(written, NOW.strftime("%y%m%d%H%M%SZ").encode())
    token["signature"] = base64.b64encode(forged).decode()
    assert refusal(token, apple.keys) == "signature"


def _other_root(apple: AppleOfTest) -> dict[str, Any]:
    other = AppleOfTest(NOW)
    return {"signer": other.leaf, "certificates": [other.leaf, other.intermediate]}


def _root_of_the_same_name(apple: AppleOfTest) -> dict[str, Any]:
    root = apple.issue("A Root of Test", is_authority=True)
    between = apple.issue(
        "An Intermediate of Test", by=root, is_authority=True, marks=[INTERMEDIATE_MARK]
    )
    leaf = apple.issue("A Leaf of Test", by=between, marks=[LEAF_MARK])
    return {"signer": leaf, "certificates": [leaf, between, root]}


def _swapped_intermediate(apple: AppleOfTest) -> dict[str, Any]:
    between = apple.issue(
        "An Intermediate of Test", by=apple.root, is_authority=True, marks=[INTERMEDIATE_MARK]
    )
    return {"certificates": [apple.leaf, between]}


def _unmarked_leaf(apple: AppleOfTest) -> dict[str, Any]:
    leaf = apple.issue("A Leaf", by=apple.intermediate)
    return {"signer": leaf, "certificates": [leaf, apple.intermediate]}


def _unmarked_signer_beside_the_leaf(apple: AppleOfTest) -> dict[str, Any]:
    rogue = apple.issue("A Rogue", by=apple.intermediate)
    return {"signer": rogue, "certificates": [rogue, apple.leaf, apple.intermediate]}


def _unmarked_intermediate(apple: AppleOfTest) -> dict[str, Any]:
    between = apple.issue("Between", by=apple.root, is_authority=True)
    leaf = apple.issue("A Leaf", by=between, marks=[LEAF_MARK])
    return {"signer": leaf, "certificates": [leaf, between]}


def _intermediate_that_may_not_issue(apple: AppleOfTest) -> dict[str, Any]:
    between = apple.issue("Between", by=apple.root, marks=[INTERMEDIATE_MARK])
    leaf = apple.issue("A Leaf", by=between, marks=[LEAF_MARK])
    return {"signer": leaf, "certificates": [leaf, between]}


def _leaf_below_a_leaf(apple: AppleOfTest) -> dict[str, Any]:
    leaf = apple.issue("A Leaf", by=apple.leaf, marks=[LEAF_MARK])
    return {"signer": leaf, "certificates": [leaf, apple.intermediate]}


def _leaf_that_issues_itself(apple: AppleOfTest) -> dict[str, Any]:
    leaf = apple.issue("A Leaf", marks=[LEAF_MARK, INTERMEDIATE_MARK])
    return {"signer": leaf, "certificates": [leaf]}


def _one_with_both_marks(apple: AppleOfTest) -> dict[str, Any]:
    leaf = apple.issue("A Leaf", by=apple.intermediate, marks=[LEAF_MARK, INTERMEDIATE_MARK])
    return {"signer": leaf, "certificates": [leaf, apple.intermediate]}


def _stranger_in_the_chain(apple: AppleOfTest) -> dict[str, Any]:
    return {"certificates": [apple.leaf, apple.intermediate, AppleOfTest(NOW).root]}


def _no_intermediate(apple: AppleOfTest) -> dict[str, Any]:
    return {"certificates": [apple.leaf, apple.root]}


def _no_leaf(apple: AppleOfTest) -> dict[str, Any]:
    return {"certificates": [apple.intermediate]}


def _another_key_behind_the_leafs_name(apple: AppleOfTest) -> dict[str, Any]:
    forged = Issued(apple.leaf.certificate, ec.generate_private_key(ec.SECP256R1()))
    return {"signer": forged}


def _two_signers(apple: AppleOfTest) -> dict[str, Any]:
    return {"signers": 2}


def _no_signer(apple: AppleOfTest) -> dict[str, Any]:
    return {"signers": 0}


def _time_signed_twice(apple: AppleOfTest) -> dict[str, Any]:
    return {"twice": True}


@pytest.mark.parametrize(
    "wrong",
    [
        _other_root,
        _root_of_the_same_name,
        _swapped_intermediate,
        _unmarked_leaf,
        _unmarked_signer_beside_the_leaf,
        _unmarked_intermediate,
        _intermediate_that_may_not_issue,
        _leaf_below_a_leaf,
        _leaf_that_issues_itself,
        _one_with_both_marks,
        _stranger_in_the_chain,
        _no_intermediate,
        _no_leaf,
        _another_key_behind_the_leafs_name,
        _two_signers,
        _no_signer,
        _time_signed_twice,
    ],
)
def test_chain_that_is_not_apples_is_refused(
    apple: AppleOfTest, wrong: Callable[[AppleOfTest], dict[str, Any]]
) -> None:
    assert refusal(apple.token(**wrong(apple)), apple.keys) in ("signature", "malformed")


def test_apples_own_root_is_asked_unless_another_is_named(apple: AppleOfTest) -> None:
    keys = {key: value for key, value in apple.keys.items() if key != "root_certificate"}
    assert refusal(apple.token(), keys) == "signature"


def test_parts_of_two_tokens_make_none(apple: AppleOfTest) -> None:
    one, two = apple.token(), apple.token()
    for path in ("data", "signature", "header.ephemeralPublicKey", "header.transactionId"):
        mixed = copy.deepcopy(one)
        (inner, name), (other, _) = place(mixed, path), place(two, path)
        inner[name] = other[name]
        assert refusal(mixed, apple.keys) == "signature", path


_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, 1.5, "", " ", "AA==", "a" * 70_000, "\ud800", "🙂", [], {}, [[]],
    {"header": {}}, "MIAGCSqGSIb3DQEHAqCAMIAC", "30800609", "=", "/" * 64, "00", "zz",
)  # fmt: skip


def _malformed(token: dict[str, Any], seeded: random.Random) -> Any:
    """A token with something wrong in it, of many kinds."""
    changed = copy.deepcopy(token)
    kind = seeded.randrange(7)
    inner = changed if seeded.random() < 0.5 else changed["header"]
    name = seeded.choice(sorted(inner))
    if kind == 0:
        inner[name] = seeded.choice(_VALUES)
    elif kind == 1:
        del inner[name]
    elif kind == 2 and isinstance(inner[name], str):
        at = seeded.randrange(len(inner[name]))
        inner[name] = inner[name][:at] + inner[name][at + 1 + seeded.randrange(40) :]
    elif kind == 3:
        raw = bytearray(base64.b64decode(changed["signature"]))
        for _ in range(seeded.randint(1, 20)):
            raw[seeded.randrange(len(raw))] = seeded.randrange(256)
        changed["signature"] = base64.b64encode(raw).decode()
    elif kind == 4:
        raw = bytearray(base64.b64decode(changed["signature"]))
        raw = raw[: seeded.randrange(len(raw))] + seeded.randbytes(seeded.randrange(40))
        changed["signature"] = base64.b64encode(raw).decode()
    else:
        text = json.dumps(changed)
        at = seeded.randrange(len(text))
        cut = text[:at] + seeded.choice(["", "{", "\\", '"', "[" * 3_000, "NaN", "\x00"])
        return cut if kind == 5 else cut.encode("utf-8", "surrogatepass")[::-1]
    return changed if changed != token else None


def test_malformed_tokens_get_the_one_refusal(apple: AppleOfTest) -> None:
    token, keys = apple.token(), ApplePayKeys(**apple.keys)
    seeded = random.Random(20_300_506)
    reasons: set[str] = set()
    for _ in range(HOSTILE):
        reasons.add(refusal(_malformed(token, seeded), keys))
    assert {"malformed", "signature"} <= reasons


@pytest.mark.parametrize("token", [None, 7, [], {}, "", "null", "[]", b"\xff\xfe", "{}" * 40_000])
def test_what_is_no_token_at_all_is_refused(apple: AppleOfTest, token: Any) -> None:
    assert refusal(token, apple.keys) == "malformed"
