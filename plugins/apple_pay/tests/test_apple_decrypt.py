"""Does `decrypt` open what a device of Apple's would send, in every natural form of the keys?"""

from __future__ import annotations

import base64
import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7Options,
    PKCS7SignatureBuilder,
)
from payengine.plugin import ApprovedAmount, WalletRefused
from payengine_apple_pay import ApplePayKeys, decrypt
from payengine_apple_pay.root import APPLE_ROOT_CA_G3, is_apple_root
from payengine_apple_pay.sealed import read_token
from payengine_apple_pay.testing import PAYLOAD, AppleOfTest, issue

NOW = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def apple() -> AppleOfTest:
    """A small Apple with one merchant."""
    return AppleOfTest(NOW)


@pytest.mark.parametrize("spell", [dict, json.dumps, lambda token: json.dumps(token).encode()])
def test_object_text_and_bytes_are_taken(apple: AppleOfTest, spell: Any) -> None:
    found = decrypt(spell(apple.token()), apple.keys, NOW)
    assert found.payload() == PAYLOAD
    assert found.message == json.dumps(PAYLOAD)
    assert found["currencyCode"] == "978"
    assert found.version == "EC_v1"
    assert found.signed_at == NOW


def test_what_wraps_the_payment_data_is_taken(apple: AppleOfTest) -> None:
    token = apple.token()
    name = token["header"]["transactionId"]
    wrapped = {"paymentData": token, "paymentMethod": {}, "transactionIdentifier": name.upper()}
    assert decrypt(wrapped, apple.keys, NOW).transaction_id == name
    with pytest.raises(WalletRefused, match="two transactions"):
        decrypt(wrapped | {"transactionIdentifier": "00"}, apple.keys, NOW)


def test_der_and_ber_are_taken(apple: AppleOfTest) -> None:
    for ber in (True, False):
        assert decrypt(apple.token(ber=ber), apple.keys, NOW).payload() == PAYLOAD


def test_root_in_the_signature_is_taken(apple: AppleOfTest) -> None:
    token = apple.token(certificates=[apple.root, apple.intermediate, apple.leaf])
    assert decrypt(token, apple.keys, NOW).payload() == PAYLOAD


def test_application_data_is_signed_and_told(apple: AppleOfTest) -> None:
    hashed = sha256(b"order 7").digest()
    token = apple.token(application_data=hashed)
    assert decrypt(token, apple.keys, NOW).application_data == hashed
    del token["header"]["applicationData"]
    with pytest.raises(WalletRefused):
        decrypt(token, apple.keys, NOW)


def test_network_token_and_approved_amount(apple: AppleOfTest) -> None:
    found = decrypt(apple.token(), apple.keys, NOW)
    token = found.network_token()
    assert (token.number, token.expiry_month, token.expiry_year) == ("4802370000000009", 12, 2031)
    assert (token.cryptogram, token.eci) == ("AP2nXmSiDrVGAAFZOMHBAoABFA==", "7")
    assert token.wallet == "apple_pay"
    assert found.approved() == ApprovedAmount(minor=1_000, currency_number="978")


def test_indicator_and_amount_may_be_missing(apple: AppleOfTest) -> None:
    payload = {key: value for key, value in PAYLOAD.items() if key != "transactionAmount"}
    payload["paymentData"] = {"onlinePaymentCryptogram": "AP2nXmSiDrVGAAFZOMHBAoABFA=="}
    found = decrypt(apple.token(payload), apple.keys, NOW)
    assert found.network_token().eci is None
    assert found.approved() is None


def changed(**fields: Any) -> dict[str, Any]:
    return copy.deepcopy(PAYLOAD) | fields


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (changed(paymentDataType="EMV"), "unsupported"),
        (changed(applicationPrimaryAccountNumber="12"), "malformed"),
        (changed(applicationPrimaryAccountNumber=4802370000000009), "malformed"),
        (changed(applicationExpirationDate="311331"), "malformed"),
        (changed(applicationExpirationDate="3112"), "malformed"),
        (changed(applicationExpirationDate="٣٢٠٧٠١"), "malformed"),
        (changed(paymentData=None), "malformed"),
        (changed(paymentData={"onlinePaymentCryptogram": "not base64!"}), "malformed"),
        (b"[1]", "malformed"),
        (b"{", "malformed"),
        (b"[" * 20_000, "malformed"),
    ],
)  # fmt: skip
def test_genuine_content_that_cannot_be_charged_is_refused(
    apple: AppleOfTest, payload: Any, reason: str
) -> None:
    found = decrypt(apple.token(payload), apple.keys, NOW)
    with pytest.raises(WalletRefused) as refused:
        found.network_token()
    assert refused.value.reason == reason
    assert "4802370000000009" not in str(refused.value)


@pytest.mark.parametrize(
    "fields", [{"transactionAmount": 10.5}, {"transactionAmount": -1}, {"currencyCode": "EUR"}]
)
def test_approved_amount_is_whole(apple: AppleOfTest, fields: dict[str, Any]) -> None:
    found = decrypt(apple.token(changed(**fields)), apple.keys, NOW)
    with pytest.raises(WalletRefused):
        found.approved()


def test_keys_in_every_natural_form(apple: AppleOfTest) -> None:
    token = apple.token()
    key = apple.merchant_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    sec1 = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    hashed = sha256(apple.merchant_id.encode()).hexdigest()
    processing = issue(
        "A Merchant of Test",
        key=key,
        since=NOW,
        until=NOW + timedelta(days=1),
        by=apple.root,
    )
    assert isinstance(processing.certificate, x509.Certificate)
    forms: list[dict[str, Any]] = [
        {"private_key": sec1},
        {"private_key": "Bag Attributes\n    localKeyID: E6\n" + apple.keys["private_key"]},
        {"private_key": base64.b64encode(der).decode()},
        {"merchant_id": hashed},
        {"merchant_id": hashed.upper()},
        {"root_certificate": [APPLE_ROOT_CA_G3, apple.root.pem.encode()]},
    ]
    for form in forms:
        assert decrypt(token, apple.keys | form, NOW).payload() == PAYLOAD
    assert decrypt(token, ApplePayKeys(**apple.keys), NOW).payload() == PAYLOAD


def test_merchant_is_read_from_its_certificate(apple: AppleOfTest) -> None:
    hashed = sha256(apple.merchant_id.encode()).hexdigest().upper()
    certificate = merchant_certificate(apple, b"\x0c\x40" + hashed.encode())
    keys = {key: value for key, value in apple.keys.items() if key != "merchant_id"}
    found = decrypt(apple.token(), keys | {"certificate": certificate}, NOW)
    assert found.payload() == PAYLOAD
    with pytest.raises(ValueError, match="different merchants"):
        decrypt(apple.token(), apple.keys | {"certificate": certificate, "merchant_id": "x"}, NOW)
    other = AppleOfTest(NOW)
    with pytest.raises(ValueError, match="not of this private_key"):
        decrypt(other.token(), other.keys | {"certificate": certificate}, NOW)
    unmarked = keys | {"certificate": merchant_certificate(apple, b"\x05\x00")}
    with pytest.raises(ValueError, match="names no merchant"):
        decrypt(apple.token(), unmarked, NOW)


def merchant_certificate(apple: AppleOfTest, mark: bytes) -> str:
    """A payment processing certificate whose extension holds `mark`."""
    name = x509.Name([])
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.840.113635.100.6.32"), mark)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(apple.merchant_key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(extension, critical=False)
        .sign(apple.merchant_key, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM).decode()


def test_one_of_several_keys_is_picked_by_the_token(apple: AppleOfTest) -> None:
    other = AppleOfTest(NOW)
    both: list[ApplePayKeys | dict[str, Any]] = [other.keys, ApplePayKeys(**apple.keys)]
    assert decrypt(apple.token(), both, NOW).payload() == PAYLOAD
    assert decrypt(other.token(), both, NOW).payload() == PAYLOAD


def test_rsa_tokens_are_opened_with_an_rsa_key() -> None:
    apple = AppleOfTest(NOW, rsa_keys=True)
    found = decrypt(apple.token(), apple.keys, NOW)
    assert (found.version, found.payload()) == ("RSA_v1", PAYLOAD)


@pytest.mark.parametrize(
    "keys",
    [
        {"private_key": "x", "merchant_id": "m"},
        {"private_key": "", "merchant_id": "m"},
        {"merchant_id": "m"},
        {"unknown": 1},
        [],
    ],
)
def test_faulty_keys_are_the_callers_error(apple: AppleOfTest, keys: Any) -> None:
    with pytest.raises(ValueError):
        decrypt(apple.token(), keys, NOW)


def test_merchant_has_to_be_told(apple: AppleOfTest) -> None:
    with pytest.raises(ValueError, match="certificate or merchant_id"):
        decrypt(apple.token(), {"private_key": apple.keys["private_key"]}, NOW)


def test_now_has_a_zone(apple: AppleOfTest) -> None:
    with pytest.raises(ValueError, match="aware"):
        decrypt(apple.token(), apple.keys, NOW.replace(tzinfo=None))
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert decrypt(apple.token(), apple.keys, elsewhere).signed_at == NOW


def test_signature_of_another_encoder_is_taken(apple: AppleOfTest) -> None:
    # The library signs at the wall's instant; everything else is as a device does it.
    wall = datetime.now(UTC)
    world = AppleOfTest(wall)
    token = world.token()
    key = world.leaf.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = (
        PKCS7SignatureBuilder()
        .set_data(read_token(token).signed_content)
        .add_signer(world.leaf.certificate, key, hashes.SHA256())
        .add_certificate(world.intermediate.certificate)
        .sign(
            Encoding.DER,
            [PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoCapabilities],
        )
    )
    token["signature"] = base64.b64encode(signature).decode()
    assert decrypt(token, world.keys, wall).payload() == PAYLOAD


def test_nothing_of_the_content_is_shown_or_serialized(apple: AppleOfTest) -> None:
    found = decrypt(apple.token(), apple.keys, NOW)
    shown = repr((found, found.network_token(), ApplePayKeys(**apple.keys)))
    assert "4802" not in shown
    assert "AP2n" not in shown
    assert "BEGIN" not in shown
    for spell in (pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.to_builtins):
        with pytest.raises(TypeError):
            spell(found.network_token())
        with pytest.raises(TypeError):
            spell(found)


def test_pinned_root_is_apples() -> None:
    assert is_apple_root(x509.load_pem_x509_certificate(APPLE_ROOT_CA_G3.encode()))
