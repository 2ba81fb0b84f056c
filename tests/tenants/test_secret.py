"""API keys' texts: whole ones pass, broken ones are refused without a look-up."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from payengine.ids import new_id
from payengine_tenants.secret import hash_secret, is_whole, new_secret


def test_a_new_key_is_whole_and_names_its_mode_and_row() -> None:
    for mode in ("test", "live"):
        key_id = new_id("key")
        secret = new_secret(key_id, mode=mode)
        assert is_whole(secret)
        assert secret.startswith(f"pe_{mode}_{key_id.removeprefix('key_')}_")
        assert re.fullmatch(r"pe_(test|live)_\w{26}_\w{49}", secret)


def test_keys_of_one_row_differ_in_256_bits() -> None:
    key_id = new_id("key")
    assert len({new_secret(key_id, mode="test") for _ in range(1000)}) == 1000


@given(at=st.integers(8, 83), letter=st.sampled_from("0aAzZ9"))
def test_one_changed_letter_is_noticed(at: int, letter: str) -> None:
    secret = new_secret("key_" + "0" * 26, mode="test")
    changed = secret[:at] + letter + secret[at + 1 :]
    assert is_whole(changed) == (changed == secret)


@given(text=st.text(max_size=100))
def test_other_texts_are_not_whole(text: str) -> None:
    assert not is_whole(text)


def test_cut_padded_and_swapped_keys_are_not_whole() -> None:
    secret = new_secret(new_id("key"), mode="test")
    for broken in (
        secret[:-1],
        secret + "0",
        secret + "\n",
        " " + secret,
        secret.replace("pe_test", "pe_live"),
        secret.upper(),
        "",
    ):
        assert not is_whole(broken)


def test_the_hash_is_of_the_whole_text() -> None:
    secret = new_secret(new_id("key"), mode="test")
    assert len(hash_secret(secret)) == 32
    assert hash_secret(secret) != hash_secret(secret[:-1])
