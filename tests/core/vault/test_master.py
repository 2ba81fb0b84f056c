"""The master key's file: made once, complete, private, and never replaced."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from payengine.errors import VaultSealed
from payengine.vault import MasterKey


def test_the_file_is_private_and_holds_32_bytes(tmp_path: Path) -> None:
    path = tmp_path / "home" / "master.key"
    key = MasterKey(path, may_create=True).make()
    assert path.stat().st_mode & 0o777 == 0o600
    assert base64.b64decode(path.read_bytes()) == key
    assert len(key) == 32
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"]


def test_a_key_that_exists_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    first = MasterKey(path, may_create=True).make()
    assert MasterKey(path, may_create=True).make() == first
    assert MasterKey(path, may_create=False).read() == first


def test_racing_makers_agree(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(lambda _: MasterKey(path, may_create=True).make(), range(64)))
    assert len(keys) == 1


def test_a_missing_key_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(VaultSealed, match="is missing"):
        MasterKey(tmp_path / "master.key", may_create=True).read()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_operator_named_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(VaultSealed, match="PAYENGINE_MASTER_KEY_FILE names"):
        MasterKey(tmp_path / "master.key", may_create=False).make()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [b"", b"not base64!", base64.b64encode(b"short"), b"\xff\xfe"])
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(text)
    with pytest.raises(VaultSealed, match="no master key"):
        MasterKey(path, may_create=True).make()
    assert path.read_bytes() == text


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(VaultSealed, match="cannot be read"):
        MasterKey(tmp_path, may_create=True).make()


def test_the_name_of_a_key_tells_keys_apart(tmp_path: Path) -> None:
    one = MasterKey(tmp_path / "1", may_create=True)
    two = MasterKey(tmp_path / "2", may_create=True)
    one.make()
    two.make()
    assert one.check() == MasterKey(tmp_path / "1", may_create=True).check() != two.check()
