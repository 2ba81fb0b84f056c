"""Does `decrypt` open what Google would send, and refuse everything else?"""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from payengine.plugin import WalletRefused
from payengine_google_pay import GooglePayKeys, decrypt
from payengine_google_pay.testing import (
    GoogleOfTest,
    message_of,
    millis,
    new_key,
    pkcs8_of,
    spki_of,
)

NOW = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
DAY = timedelta(days=1)
#: How many malformed tokens and how many flipped bits of each field are tried.
HOSTILE = int(os.environ.get("PAYENGINE_HOSTILE_TOKENS", "10000"))
FLIPS = int(os.environ.get("PAYENGINE_HOSTILE_FLIPS", "400"))
VERSIONS = ("ECv1", "ECv2")


@pytest.fixture(scope="module")
def google() -> GoogleOfTest:
    """A small Google with one merchant."""
    return GoogleOfTest(NOW)


def refusal(token: Any, keys: Any, now: datetime = NOW) -> str:
    """The reason for which the token is refused; fails where it is taken."""
    with pytest.raises(WalletRefused) as refused:
        decrypt(token, keys, now)
    assert "4802370000000009" not in f"{refused.value} {refused.value.__cause__}"
    return refused.value.reason


# -- what is taken ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("spell", [dict, json.dumps, lambda token: json.dumps(token).encode()])
def test_object_text_and_bytes_are_taken(google: GoogleOfTest, version: str, spell: Any) -> None:
    found = decrypt(spell(google.token(version=version)), google.keys, NOW)
    assert found.payload() == message_of(NOW)
    assert found["messageId"] == found.message_id == "AH2Ejtc_example"
    assert found.version == version
    assert found.expires_at == NOW + 6 * DAY


def test_network_token(google: GoogleOfTest) -> None:
    token = decrypt(google.token(), google.keys, NOW).network_token()
    assert (token.number, token.expiry_month, token.expiry_year) == ("4802370000000009", 12, 2031)
    assert (token.cryptogram, token.eci) == ("AP2nXmSiDrVGAAFZOMHBAoABFA==", "07")
    assert token.wallet == "google_pay"


def test_older_form_of_a_device_number_is_taken(google: GoogleOfTest) -> None:
    details = {
        "dpan": "4802370000000009",
        "expirationMonth": 1,
        "expirationYear": 2032,
        "3dsCryptogram": "AAAAAA==",
        "3dsEciIndicator": "5",
    }
    message = message_of(NOW, paymentMethod="TOKENIZED_CARD", paymentMethodDetails=details)
    token = decrypt(google.token(message, version="ECv1"), google.keys, NOW).network_token()
    assert (token.number, token.cryptogram, token.eci) == ("4802370000000009", "AAAAAA==", "5")


def test_keys_in_every_natural_form(google: GoogleOfTest) -> None:
    token = google.token()
    pem = google.merchant.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    spelled = pkcs8_of(google.merchant)
    wrapped = "\n".join(spelled[at : at + 64] for at in range(0, len(spelled), 64))
    published = json.dumps(google.root_keys(), indent=2)
    sloppy = published.replace("}\n  ]", "},\n  ],\n").replace("\n}", "")
    forms: list[dict[str, Any]] = [
        {"private_key": pem},
        {"private_key": pem.decode()},
        {"private_key": wrapped},
        {"private_key": [pkcs8_of(new_key()), spelled]},
        {"root_keys": google.root_keys()},
        {"root_keys": published.encode()},
        {"root_keys": sloppy + "}" if not sloppy.endswith("}") else sloppy},
        {"protocol_versions": ["ECv2"]},
    ]
    for form in forms:
        assert decrypt(token, google.keys | form, NOW).payload() == message_of(NOW)
    assert decrypt(token, GooglePayKeys(**google.keys), NOW).payload() == message_of(NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"private_key": "x"},
        {"private_key": []},
        {"root_keys": "{"},
        {"root_keys": "[]"},
        {"root_keys": {"keys": []}},
        {"root_keys": {"keys": [7]}},
        {"root_keys": {"keys": [{"protocolVersion": "ECv1", "keyValue": "AAAA"}]}},
        {"recipient_id": ""},
        {"protocol_versions": ["ECv0"]},
        {"unknown": 1},
    ],
)
def test_faulty_keys_are_the_callers_error(google: GoogleOfTest, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        decrypt(google.token(), google.keys | wrong, NOW)


def test_keys_are_on_the_curve(google: GoogleOfTest) -> None:
    elsewhere = ec.generate_private_key(ec.SECP384R1())
    for wrong in (
        {"private_key": pkcs8_of(elsewhere)},
        {"root_keys": google.root_keys(keyValue=spki_of(elsewhere))},
    ):
        with pytest.raises(ValueError, match="P-256"):
            decrypt(google.token(), google.keys | wrong, NOW)


def test_now_has_a_zone(google: GoogleOfTest) -> None:
    with pytest.raises(ValueError, match="aware"):
        decrypt(google.token(), google.keys, NOW.replace(tzinfo=None))
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-9)))
    assert decrypt(google.token(), google.keys, elsewhere).version == "ECv2"


def test_nothing_of_the_content_is_shown_or_serialized(google: GoogleOfTest) -> None:
    found = decrypt(google.token(), google.keys, NOW)
    shown = repr((found, found.network_token(), GooglePayKeys(**google.keys)))
    assert "4802" not in shown
    assert google.keys["private_key"] not in shown
    for spell in (pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.to_builtins):
        with pytest.raises(TypeError):
            spell(found.network_token())
        with pytest.raises(TypeError):
            spell(found)


# -- keys that rotate and end ----------------------------------------------------------------------


def test_any_root_key_that_has_not_ended_may_have_signed(google: GoogleOfTest) -> None:
    other = GoogleOfTest(NOW)
    both = {"keys": [*other.root_keys()["keys"], *google.root_keys()["keys"]]}
    for version in VERSIONS:
        token = google.token(version=version)
        assert decrypt(token, google.keys | {"root_keys": both}, NOW).version == version
        alone = google.keys | {"root_keys": other.root_keys()}
        assert refusal(token, alone) == "signature"


@pytest.mark.parametrize("version", VERSIONS)
def test_root_key_that_has_ended_is_not_used(google: GoogleOfTest, version: str) -> None:
    token = google.token(version=version)
    for ends, taken in ((NOW + timedelta(milliseconds=1), True), (NOW, False), (NOW - DAY, False)):
        keys = google.keys | {"root_keys": google.root_keys(keyExpiration=millis(ends))}
        if taken:
            assert decrypt(token, keys, NOW).version == version
        else:
            assert refusal(token, keys) == "expired"


def test_only_an_older_root_key_may_name_no_end(google: GoogleOfTest) -> None:
    endless = google.keys | {"root_keys": google.root_keys(keyExpiration=None)}
    assert decrypt(google.token(version="ECv1"), endless, NOW).version == "ECv1"
    assert refusal(google.token(version="ECv2"), endless) == "expired"


def test_root_keys_of_another_version_do_not_count(google: GoogleOfTest) -> None:
    first, second = google.root_keys()["keys"]
    only = google.keys | {"root_keys": {"keys": [first]}}
    assert decrypt(google.token(version="ECv1"), only, NOW).version == "ECv1"
    assert refusal(google.token(version="ECv2"), only) == "expired"
    signing = second | {"protocolVersion": "ECv2SigningOnly"}
    assert refusal(google.token(), google.keys | {"root_keys": {"keys": [signing]}}) == "expired"


def test_intermediate_key_has_an_end(google: GoogleOfTest) -> None:
    for ends in (NOW, NOW - DAY):
        assert refusal(google.token(intermediate_ends=ends), google.keys) == "expired"
    token = google.token(intermediate_ends=NOW + timedelta(seconds=1))
    assert decrypt(token, google.keys, NOW).version == "ECv2"


def test_one_good_signature_of_the_intermediate_key_is_enough(google: GoogleOfTest) -> None:
    token, stranger = google.token(), GoogleOfTest(NOW).token()
    signatures = token["intermediateSigningKey"]["signatures"]
    foreign = stranger["intermediateSigningKey"]["signatures"]
    token["intermediateSigningKey"]["signatures"] = [*foreign, *signatures]
    assert decrypt(token, google.keys, NOW).version == "ECv2"
    token["intermediateSigningKey"]["signatures"] = foreign
    assert refusal(token, google.keys) == "signature"


# -- what is refused -------------------------------------------------------------------------------


def test_swapped_intermediate_key_is_refused(google: GoogleOfTest) -> None:
    stranger = GoogleOfTest(NOW, merchant=google.merchant)
    token = stranger.token()
    assert refusal(token, google.keys) == "signature"
    token["intermediateSigningKey"] = google.token()["intermediateSigningKey"]
    assert refusal(token, google.keys) == "signature"


def test_root_key_signs_no_message_itself(google: GoogleOfTest) -> None:
    token = google.token(intermediate=google.root)
    token["intermediateSigningKey"] = google.token()["intermediateSigningKey"]
    assert refusal(token, google.keys) == "signature"


@pytest.mark.parametrize("version", VERSIONS)
def test_token_for_another_recipient_is_refused(google: GoogleOfTest, version: str) -> None:
    token = google.token(version=version, recipient_id="merchant:other")
    assert refusal(token, google.keys) == "signature"
    token = google.token(version=version)
    assert refusal(token, google.keys | {"recipient_id": "merchant:other"}) == "signature"
    assert refusal(token, google.keys | {"private_key": pkcs8_of(new_key())}) == "recipient"


@pytest.mark.parametrize(
    "version", ["ECv0", "ECv3", "ECv2SigningOnly", "ecv2", "", None, 2, "ECv2 "]
)
def test_other_versions_are_refused(google: GoogleOfTest, version: Any) -> None:
    token = google.token() | {"protocolVersion": version}
    assert refusal(token, google.keys) in ("protocol", "malformed")


def test_version_cannot_be_downgraded(google: GoogleOfTest) -> None:
    token = google.token()
    older = {key: value for key, value in token.items() if key != "intermediateSigningKey"}
    assert refusal(older | {"protocolVersion": "ECv1"}, google.keys) == "signature"
    assert refusal(token | {"protocolVersion": "ECv1"}, google.keys) == "malformed"
    only_new = google.keys | {"protocol_versions": ["ECv2"]}
    assert refusal(google.token(version="ECv1"), only_new) == "protocol"


def test_weaker_digest_is_refused(google: GoogleOfTest) -> None:
    for version in VERSIONS:
        token = google.token(version=version, hash_name=hashes.SHA1())
        assert refusal(token, google.keys) == "signature"


def test_message_has_an_end(google: GoogleOfTest) -> None:
    token = google.token(message_of(NOW, messageExpiration=millis(NOW + timedelta(seconds=1))))
    assert decrypt(token, google.keys, NOW).expires_at == NOW + timedelta(seconds=1)
    for later in (timedelta(seconds=1), DAY):
        assert refusal(token, google.keys, NOW + later) == "expired"
    for wrong in ("", "soon", -1, 1.5, "9" * 15, None):
        token = google.token(message_of(NOW, messageExpiration=wrong))
        assert refusal(token, google.keys) == "malformed"


def test_message_without_an_end_yields_no_network_token(google: GoogleOfTest) -> None:
    message = message_of(NOW)
    del message["messageExpiration"]
    for given in (message, b"plaintext", b"[]", b"[" * 20_000):
        found = decrypt(google.token(given), google.keys, NOW)
        assert found.expires_at is None
        with pytest.raises(WalletRefused):
            found.network_token()
    assert decrypt(google.token(b"plaintext"), google.keys, NOW).message == "plaintext"


def test_gateway_opens_tokens_of_its_own_merchant_alone() -> None:
    google = GoogleOfTest(NOW, recipient_id="gateway:acme")
    token = google.token(message_of(NOW, gatewayMerchantId="shop-1"))
    assert decrypt(token, google.keys, NOW)["gatewayMerchantId"] == "shop-1"
    mine = google.keys | {"gateway_merchant_id": "shop-1"}
    assert decrypt(token, mine, NOW).version == "ECv2"
    theirs = google.keys | {"gateway_merchant_id": "shop-2"}
    assert refusal(token, theirs) == "recipient"
    assert refusal(google.token(), mine) == "recipient"
    assert refusal(google.token(b"plaintext"), mine) == "recipient"


def details(**fields: Any) -> dict[str, Any]:
    message = message_of(NOW)
    message["paymentMethodDetails"] |= fields
    return message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (details(authMethod="PAN_ONLY"), "unsupported"),
        (details(authMethod=None), "unsupported"),
        (details(pan="12"), "malformed"),
        (details(pan=None), "malformed"),
        (details(cryptogram=None), "malformed"),
        (details(expirationMonth=13), "malformed"),
        (details(expirationYear="2031"), "malformed"),
        (details(eciIndicator="seven"), "malformed"),
        (message_of(NOW, paymentMethod="PAYPAL"), "malformed"),
        (message_of(NOW, paymentMethodDetails=None), "malformed"),
    ],
)
def test_genuine_content_that_cannot_be_charged_is_refused(
    google: GoogleOfTest, message: Any, reason: str
) -> None:
    found = decrypt(google.token(message), google.keys, NOW)
    with pytest.raises(WalletRefused) as refused:
        found.network_token()
    assert refused.value.reason == reason
    assert "4802370000000009" not in str(refused.value)


def test_message_needs_a_name(google: GoogleOfTest) -> None:
    for wrong in (None, 7, "", "a" * 256, "a\n"):
        found = decrypt(google.token(message_of(NOW, messageId=wrong)), google.keys, NOW)
        with pytest.raises(WalletRefused):
            _ = found.message_id


def flips(data: bytes, seed: str) -> Iterator[bytes]:
    """The data with one bit turned: all of them where they are few, else a seeded choice."""
    bits = range(8 * len(data))
    chosen = bits if len(bits) <= FLIPS else random.Random(seed).sample(bits, FLIPS)
    for bit in chosen:
        turned = bytearray(data)
        turned[bit // 8] ^= 1 << bit % 8
        yield bytes(turned)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_bit_of_the_text_counts(google: GoogleOfTest, version: str) -> None:
    text = json.dumps(google.token(version=version)).encode()
    keys = GooglePayKeys(**google.keys)
    assert decrypt(text, keys, NOW).version == version
    for turned in flips(text, f"text {version}"):
        refusal(turned, keys)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_bit_of_the_signature_counts(google: GoogleOfTest, version: str) -> None:
    token, keys = google.token(version=version), GooglePayKeys(**google.keys)
    for turned in flips(base64.b64decode(token["signature"]), version):
        refusal(token | {"signature": base64.b64encode(turned).decode()}, keys)


def test_each_bit_of_the_sealed_parts_counts(google: GoogleOfTest) -> None:
    keys = GooglePayKeys(**google.keys)
    token = google.token(version="ECv1")
    sealed = json.loads(token["signedMessage"])
    signer = google.root
    for name in sealed:
        for turned in flips(base64.b64decode(sealed[name]), name):
            # Signed anew, so that only what lies below the signature can refuse it.
            changed = sealed | {name: base64.b64encode(turned).decode()}
            assert refusal(resigned(google, signer, json.dumps(changed)), keys) in (
                "recipient",
                "malformed",
            )


def resigned(google: GoogleOfTest, signer: ec.EllipticCurvePrivateKey, signed: str) -> Any:
    """An ECv1 token with this signed message, under a good signature."""
    parts = ("Google", google.recipient_id, "ECv1", signed)
    content = b"".join(len(part).to_bytes(4, "little") + part.encode() for part in parts)
    signature = base64.b64encode(signer.sign(content, ec.ECDSA(hashes.SHA256()))).decode()
    return {"protocolVersion": "ECv1", "signedMessage": signed, "signature": signature}


def test_second_spelling_of_the_same_bytes_is_refused(google: GoogleOfTest) -> None:
    token = google.token()
    for respell in (
        lambda text: text.rstrip("="),
        lambda text: f" {text}",
        lambda text: "=" + text,
    ):
        changed = token | {"signature": respell(token["signature"])}
        if changed != token:
            assert refusal(changed, google.keys) == "malformed"


def test_one_signature_of_the_intermediate_key_is_enough(google: GoogleOfTest) -> None:
    token = google.token()
    key = token["intermediateSigningKey"]
    good = key["signatures"]
    for signatures in (["no signature", *good], ["AA==", *good], [*good, ""]):
        token["intermediateSigningKey"] = key | {"signatures": signatures}
        assert decrypt(token, google.keys, NOW).version == "ECv2"
    token["intermediateSigningKey"] = key | {"signatures": ["no signature", ""]}
    assert refusal(token, google.keys) == "signature"


def test_other_fields_are_refused(google: GoogleOfTest) -> None:
    assert refusal(google.token() | {"more": 1}, google.keys) == "malformed"
    text = json.dumps(google.token())
    twice = text[:-1] + ', "signature": "AA=="}'
    assert refusal(twice, google.keys) == "malformed"


_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, 1.5, "", " ", "AA==", "a" * 70_000, "\ud800", "🙂", [], {}, [[]],
    {"signedKey": "{}"}, "{}", "[]", "null", '{"tag":1}', "=", "/" * 88,
)  # fmt: skip


def _malformed(token: dict[str, Any], seeded: random.Random) -> Any:
    """A token with something wrong in it, of many kinds."""
    changed = copy.deepcopy(token)
    inner = changed
    if "intermediateSigningKey" in changed and seeded.random() < 0.4:
        inner = changed["intermediateSigningKey"]
    name = seeded.choice(sorted(inner))
    kind = seeded.randrange(6)
    if kind == 0:
        inner[name] = seeded.choice(_VALUES)
    elif kind == 1:
        del inner[name]
    elif kind == 2 and isinstance(inner[name], str):
        at = seeded.randrange(len(inner[name]))
        inner[name] = inner[name][:at] + inner[name][at + 1 + seeded.randrange(40) :]
    elif kind == 3:
        changed["signature"] = base64.b64encode(seeded.randbytes(seeded.randrange(90))).decode()
    else:
        text = json.dumps(changed)
        at = seeded.randrange(len(text))
        cut = text[:at] + seeded.choice(["", "{", "\\", '"', "[" * 3_000, "NaN", "\x00"])
        return cut if kind == 4 else cut.encode("utf-8", "surrogatepass")[::-1]
    return changed if changed != token else None


def test_malformed_tokens_get_the_one_refusal(google: GoogleOfTest) -> None:
    tokens = [google.token(version=version) for version in VERSIONS]
    keys, seeded = GooglePayKeys(**google.keys), random.Random(20_300_506)
    reasons: set[str] = set()
    for number in range(HOSTILE):
        reasons.add(refusal(_malformed(tokens[number % 2], seeded), keys))
    assert {"malformed", "signature", "protocol"} <= reasons


@pytest.mark.parametrize("token", [None, 7, [], {}, "", "null", "[]", b"\xff\xfe", "{}" * 40_000])
def test_what_is_no_token_at_all_is_refused(google: GoogleOfTest, token: Any) -> None:
    assert refusal(token, google.keys) == "malformed"


@pytest.mark.parametrize(
    "signed",
    [
        "{}",
        "null",
        '{"encryptedMessage":"AA==","ephemeralPublicKey":"AA==","tag":"AA=="}',
        "[" * 9_999,
    ],
)
def test_signed_nonsense_is_refused(google: GoogleOfTest, signed: str) -> None:
    assert refusal(resigned(google, google.root, signed), google.keys) == "malformed"


def test_point_off_the_curve_is_refused(google: GoogleOfTest) -> None:
    sealed = json.loads(google.token(version="ECv1")["signedMessage"])
    for point in (b"\x04" + b"\x01" * 64, b"\x04" + bytes(64), b"\x02" + bytes(64)):
        sealed["ephemeralPublicKey"] = base64.b64encode(point).decode()
        token = resigned(google, google.root, json.dumps(sealed))
        assert refusal(token, google.keys) == "malformed"
