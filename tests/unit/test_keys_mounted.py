"""API keys of a mounted file: it may change, it is compared without a hint, and a line stands for a tenant."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from chatbot.api.accounts.decisions import is_loopback, presented
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.accounts.key_text import mint
from chatbot.core.accounts.mounted import KeysFileError, MountedKeys, line_of, parse_keys
from chatbot.domain.access import KeyRecord, Rights, Scope
from chatbot.domain.errors import Unauthorized
from starlette.datastructures import Headers

START = 1_800_000_000.0


def line(name: str, key: str, expires: str = "") -> str:
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" + (f":{expires}" if expires else "")


def write(path: Path, *lines: str) -> None:
    """As a mounted Secret changes: a new file takes the old one's place."""
    fresh = path.with_suffix(".new")
    fresh.write_text("\n".join(lines))
    os.replace(fresh, path)


def check(path: Path, now: float = START) -> KeyCheck:
    return KeyCheck(MountedKeys(path), now=lambda: now)


async def tenant(keys: KeyCheck, *headers: tuple[str, str]) -> str:
    raw = [(name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers]
    return (await keys.principal(presented(Headers(raw=raw)))).tenant


async def bearer(keys: KeyCheck, value: str) -> str:
    return await tenant(keys, ("Authorization", value))


async def test_a_key_stands_for_its_name(tmp_path: Path) -> None:
    write(tmp_path / "keys", "# ours", "", line("team-a", "k1"), line("team-b", "k2"))
    keys = check(tmp_path / "keys")

    assert await bearer(keys, "Bearer k1") == "team-a"
    assert await bearer(keys, "bearer  k2 ") == "team-b"
    assert await tenant(keys, ("X-API-Key", "k2")) == "team-b"
    assert not keys.is_open


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer k3", "Basic k1", "k1", "Bearer k1 k1", "Bearer \udcff", "Bearer k1\x00"]
)
async def test_all_others_get_the_same_refusal(tmp_path: Path, header: str) -> None:
    write(tmp_path / "keys", line("team-a", "k1"))
    keys = check(tmp_path / "keys")

    for headers in ([("Authorization", header)], [], [("Authorization", "Bearer k1")] * 2, [("X-API-Key", "k1")] * 2):
        with pytest.raises(Unauthorized) as refused:
            await tenant(keys, *headers)
        assert refused.value.args == ()


async def test_a_wrong_authorization_is_not_made_good_by_another_header(tmp_path: Path) -> None:
    write(tmp_path / "keys", line("team-a", "k1"))

    with pytest.raises(Unauthorized):
        await tenant(check(tmp_path / "keys"), ("Authorization", "Basic x"), ("X-API-Key", "k1"))


async def test_without_a_file_everybody_is_one_tenant() -> None:
    assert await tenant(KeyCheck()) == ""
    assert KeyCheck().is_open


@pytest.mark.parametrize(("now", "is_valid"), [(1_799_999_999.0, True), (1_800_000_000.0, False)])
async def test_a_key_ends_at_its_moment(tmp_path: Path, now: float, is_valid: bool) -> None:
    write(tmp_path / "keys", line("team-a", "k1", "2027-01-15T08:00:00+00:00"))
    keys = check(tmp_path / "keys", now)

    if is_valid:
        assert await bearer(keys, "Bearer k1") == "team-a"
    else:
        with pytest.raises(Unauthorized):
            await bearer(keys, "Bearer k1")


async def test_follows_the_file(tmp_path: Path) -> None:
    write(tmp_path / "keys", line("team-a", "k1"))
    keys = check(tmp_path / "keys")

    write(tmp_path / "keys", line("team-a", "k2"))

    assert await bearer(keys, "Bearer k2") == "team-a"
    with pytest.raises(Unauthorized):
        await bearer(keys, "Bearer k1")


async def test_keeps_the_old_keys_where_the_new_file_is_broken(tmp_path: Path) -> None:
    write(tmp_path / "keys", line("team-a", "k1"))
    keys = check(tmp_path / "keys")

    write(tmp_path / "keys", "nonsense")
    assert await bearer(keys, "Bearer k1") == "team-a"

    (tmp_path / "keys").unlink()
    assert await bearer(keys, "Bearer k1") == "team-a"


async def test_a_line_of_the_long_form_has_an_id_and_rights_of_its_own(tmp_path: Path) -> None:
    key, other = mint(), mint()
    rights = Rights(frozenset({Scope.CHAT}), frozenset({"office"}), user="user one")
    record = KeyRecord(key.id, "team-a", b"", label="브라우저", rights=rights, expires_at=START + 10)
    write(tmp_path / "keys", line("team-b", "k1"), line_of(record, key), line("team-c", other.text))

    keys = check(tmp_path / "keys")

    found = await keys.principal(key.text)
    assert (found.tenant, found.key_id, found.rights) == ("team-a", key.id, rights)
    assert found.key is not None and found.key.label == "브라우저"
    assert await bearer(keys, "Bearer k1") == "team-b"
    assert await bearer(keys, f"Bearer {other.text}") == "team-c"  # a key of the new form in a line of the old
    assert key.text not in (tmp_path / "keys").read_text()
    with pytest.raises(Unauthorized):
        await check(tmp_path / "keys", START + 10).principal(key.text)


GOOD = json.loads(line_of(KeyRecord("A" * 12, "a", b""), mint()))


@pytest.mark.parametrize(
    "text",
    [
        "secret",
        "a:b",
        ":" + "0" * 64,
        "a b:" + "0" * 64,
        "a:" + "0" * 63,
        "a:" + "0" * 64 + ":tomorrow",
        "{",
        "{}",
        json.dumps(GOOD | {"id": "short"}),
        json.dumps(GOOD | {"sha256": "0"}),
        json.dumps(GOOD | {"tenant": "a b"}),
        json.dumps(GOOD | {"networks": ["nowhere"]}),
        json.dumps(GOOD | {"expires_at": "tomorrow"}),
        json.dumps(GOOD | {"scope": ["chat"]}),
        json.dumps(GOOD | {"id": ["x"]}),
        '{"id":' + "[" * 10_000,
    ],
)
def test_names_the_wrong_line_and_not_its_content(text: str) -> None:
    with pytest.raises(KeysFileError) as wrong:
        parse_keys(line("a", "k") + "\n" + text)

    assert "line 2" in str(wrong.value)
    assert len(text) < 3 or text not in str(wrong.value)


def test_does_not_start_without_its_file(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError):
        MountedKeys(tmp_path / "missing")


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
