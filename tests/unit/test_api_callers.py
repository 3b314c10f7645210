"""API keys: from a file that may change, compared without a hint, and the tenant they stand for."""

import hashlib
import os
from pathlib import Path

import pytest
from chatbot.api.callers import KeyRing, KeysFileError, is_loopback, parse_keys
from chatbot.domain.errors import Unauthorized


def line(name: str, key: str, expires: str = "") -> str:
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" + (f":{expires}" if expires else "")


def write(path: Path, *lines: str) -> None:
    """As a mounted Secret changes: a new file takes the old one's place."""
    fresh = path.with_suffix(".new")
    fresh.write_text("\n".join(lines))
    os.replace(fresh, path)


def test_a_key_stands_for_its_name(tmp_path: Path) -> None:
    write(tmp_path / "keys", "# ours", "", line("team-a", "k1"), line("team-b", "k2"))
    ring = KeyRing(tmp_path / "keys")

    assert ring.tenant("Bearer k1") == "team-a"
    assert ring.tenant("bearer  k2 ") == "team-b"
    assert not ring.is_open


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer k3", "Basic k1", "k1", "Bearer k1 k1", "Bearer \udcff"]
)
def test_all_others_get_the_same_refusal(tmp_path: Path, header: str | None) -> None:
    write(tmp_path / "keys", line("team-a", "k1"))

    with pytest.raises(Unauthorized) as refused:
        KeyRing(tmp_path / "keys").tenant(header)

    assert refused.value.args == ()


def test_without_a_file_everybody_is_one_tenant() -> None:
    assert KeyRing(None).tenant(None) == ""
    assert KeyRing(None).is_open


@pytest.mark.parametrize(("now", "is_valid"), [(1_799_999_999.0, True), (1_800_000_000.0, False)])
def test_a_key_ends_at_its_moment(tmp_path: Path, now: float, is_valid: bool) -> None:
    write(tmp_path / "keys", line("team-a", "k1", "2027-01-15T08:00:00+00:00"))
    ring = KeyRing(tmp_path / "keys", now=lambda: now)

    if is_valid:
        assert ring.tenant("Bearer k1") == "team-a"
    else:
        with pytest.raises(Unauthorized):
            ring.tenant("Bearer k1")


def test_follows_the_file(tmp_path: Path) -> None:
    write(tmp_path / "keys", line("team-a", "k1"))
    ring = KeyRing(tmp_path / "keys")

    write(tmp_path / "keys", line("team-a", "k2"))

    assert ring.tenant("Bearer k2") == "team-a"
    with pytest.raises(Unauthorized):
        ring.tenant("Bearer k1")


def test_keeps_the_old_keys_where_the_new_file_is_broken(tmp_path: Path) -> None:
    write(tmp_path / "keys", line("team-a", "k1"))
    ring = KeyRing(tmp_path / "keys")

    write(tmp_path / "keys", "nonsense")
    assert ring.tenant("Bearer k1") == "team-a"

    (tmp_path / "keys").unlink()
    assert ring.tenant("Bearer k1") == "team-a"


@pytest.mark.parametrize(
    "text", ["secret", "a:b", ":" + "0" * 64, "a b:" + "0" * 64, "a:" + "0" * 63, "a:" + "0" * 64 + ":tomorrow"]
)
def test_names_the_wrong_line_and_not_its_content(text: str) -> None:
    with pytest.raises(KeysFileError) as wrong:
        parse_keys(line("a", "k") + "\n" + text)

    assert "line 2" in str(wrong.value)
    assert text not in str(wrong.value)


def test_does_not_start_without_its_file(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError):
        KeyRing(tmp_path / "missing")


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_knows_this_machine(address: str, is_ours: bool) -> None:
    assert is_loopback(address) is is_ours
