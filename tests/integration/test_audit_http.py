"""What requests and commands leave in the audit, and that nothing is done which it cannot record."""

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chatbot.adapters.audit.sqlite import SqliteAudit
from chatbot.adapters.characters.files import BoundedCardFiles
from chatbot.adapters.characters.sqlite import SqliteCharacters
from chatbot.adapters.tenants.file import PolicyFile
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.api.profiles import CHARACTER
from chatbot.core.audit.audit import Audit
from chatbot.core.audit.chain import Chain
from chatbot.core.characters.book import CharacterBook
from chatbot.core.personal.eraser import Eraser
from chatbot.core.personal.tombstones import Tombstones
from chatbot.domain.access import Rights, Scope
from chatbot.domain.audit.records import AuditRecord
from chatbot.keys import main
from chatbot.server.wiring.access.audit import note_policies
from parts.admin_port import administered
from parts.card_zoo import text_of, v2
from parts.http_service import ServiceOptions
from parts.keyed_service import keyed_service
from parts.people import Told, open_people
from parts.store_place import StorePlace

NABI = {"display_name": "나비", "description": "고양이", "greetings": ["안녕"]}
Line = tuple[str, str, str]


def opened(folder: Path) -> Audit:
    return Audit(SqliteAudit(folder / "audit.sqlite3"), Chain((b"s" * 64,)))


async def whole(audit: Audit) -> Sequence[AuditRecord]:
    """All records; nobody spoilt them."""
    assert (await audit.chain.verify(audit.store)).problems == ()
    return await audit.store.read(0, 1000)


def lines(records: Sequence[AuditRecord]) -> list[Line]:
    return [(str(one.entry.action), one.entry.object, str(one.entry.outcome)) for one in records]


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("audit.sqlite3*"))


async def test_what_administrators_do_to_keys_is_recorded_with_their_key(tmp_path: Path) -> None:
    audit = opened(tmp_path)
    async with administered(tmp_path, audit=audit) as world:
        made = (await world.admin.post("/admin/keys", json={"tenant": "team-a"})).json()["record"]["id"]
        await world.admin.put(f"/admin/keys/{made}/limits", json={"requests_per_minute": 5})
        rotated = (await world.admin.post(f"/admin/keys/{made}/rotate", json={})).json()["record"]["id"]
        ended = await world.admin.post(f"/admin/keys/{made}/revoke")
        unknown = await world.admin.post("/admin/keys/AAAAAAAAAAAA/revoke")
        read = await world.admin.get("/admin/keys")
        found = await whole(audit)
        await audit.store.close()
        refused = await world.admin.post("/admin/keys", json={"tenant": "team-a"})
        after = (await world.admin.get("/admin/keys")).json()["keys"]

    assert lines(found) == [
        ("key.create", "", "begun"),
        ("key.create", made, "done"),
        ("key.limit", made, "begun"),
        ("key.limit", made, "done"),
        ("key.rotate", made, "begun"),
        ("key.rotate", made, "done"),
        ("key.revoke", made, "begun"),
        ("key.revoke", made, "done"),
        ("key.revoke", "AAAAAAAAAAAA", "begun"),
        ("key.revoke", "AAAAAAAAAAAA", "failed"),
    ]
    assert {one.entry.actor for one in found} == {world.key_id}
    assert found[7].entry.request_id == ended.headers["x-request-id"] and found[7].entry.tenant == "team-a"
    assert (unknown.status_code, refused.status_code, refused.json()["code"]) == (404, 503, "audit_unavailable")
    assert {one["id"] for one in after} == {one["id"] for one in read.json()["keys"]} and rotated


async def test_reading_what_others_used_and_changing_characters_are_recorded_and_chats_are_not(tmp_path: Path) -> None:
    audit = opened(tmp_path)
    store = SqliteCharacters(tmp_path / "characters.sqlite3")
    options = ServiceOptions(
        profile=CHARACTER,
        characters=CharacterBook(store, BoundedCardFiles(), most=10, file_bytes=1 << 20),
        usage=SqliteUsage(tmp_path / "usage.sqlite3"),
        audit=audit,
    )
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        operator = await keyed.key()
        client.headers["authorization"] = f"Bearer {operator.text}"
        own = await keyed.header(Rights(frozenset({Scope.CHAT})))
        statuses = [
            (await client.put("/characters/nabi", json=NABI)).status_code,
            (await client.post("/characters/import?name=card", content=text_of(v2()))).status_code,
            (await client.delete("/characters/nabi")).status_code,
            (await client.get("/usage")).status_code,
            (await client.get("/usage", headers=own)).status_code,
        ]
        found = await whole(audit)
        await audit.store.close()
        blocked = [
            (await client.put("/characters/nabi", json=NABI)).status_code,
            (await client.get("/usage")).status_code,
        ]
        asked = {"input_data": "안녕", "user_id": "u", "character_name": "A", "greeting": "", "context": "고양이"}
        chat = await client.post("/Llama", json=asked)
        own_use = await client.get("/usage", headers=own)
        characters = (await client.get("/characters")).json()["characters"]
    await store.close()

    assert statuses == [200, 200, 204, 200, 200]
    done = [line for line in lines(found) if line[2] != "begun"]
    assert done == [
        ("character.put", "nabi", "done"),
        ("character.import", "card", "done"),
        ("character.erase", "nabi", "done"),
        ("usage.read", "", "done"),
    ]
    assert {(one.entry.actor, one.entry.tenant) for one in found} == {(operator.id, "team-a")}
    assert blocked == [503, 503] and [one["name"] for one in characters] == ["card"]
    assert (chat.status_code, own_use.status_code) == (200, 200)


async def test_an_erasure_and_an_export_are_recorded_by_pseudonym_and_not_begun_without(tmp_path: Path) -> None:
    audit = opened(tmp_path)
    people = open_people(StorePlace("sqlite", str(tmp_path / "kept" / "store.sqlite3")))
    eraser = Eraser(people.stores, Tombstones(people.erasures, time.time), lambda tenant, user: (), Told())
    async with keyed_service(tmp_path, ServiceOptions(audit=audit, eraser=eraser)) as keyed:
        header = {**await keyed.header(), "x-user-id": "canary-user"}
        ours = keyed.peppers.pseudonyms.of("team-a", "canary-user")
        async with keyed.service.client(headers=header) as client:
            exported = await client.post("/users/me/export")
            erased = await client.delete("/users/me")
            found = await whole(audit)
            await audit.store.close()
            refused = await client.delete("/users/me")
    await people.close()

    assert (exported.status_code, erased.status_code) == (202, 202)
    assert lines(found) == [
        ("user.export", ours, "begun"),
        ("user.export", ours, "done"),
        ("user.erase", ours, "begun"),
        ("user.erase", ours, "done"),
    ]
    assert (refused.status_code, refused.json()["code"]) == (503, "audit_unavailable")
    assert b"canary-user" not in on_disk(tmp_path)


async def test_policies_are_recorded_when_they_are_taken_and_when_they_are_refused(tmp_path: Path) -> None:
    path, audit = tmp_path / "tenants.yaml", opened(tmp_path)
    path.write_text("tenants: []")
    policies = PolicyFile(path, lambda: datetime.now(UTC))
    first = policies.status.digest
    following = [asyncio.create_task(note_policies(audit, policies, 0.01)) for _ in range(2)]  # two replicas
    try:
        await recorded(audit, 1)
        path.write_text("tenants: [{name: a, suspendd: true}]")
        policies.look()
        await recorded(audit, 2)
        path.write_text("tenants: [{name: a}]")
        policies.look()
        await recorded(audit, 3)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    found = lines(await whole(audit))
    await audit.store.close()

    changes = list(dict.fromkeys(found))
    assert changes == [
        ("policy.take", first, "done"),
        ("policy.refuse", first, "failed"),
        ("policy.take", policies.status.digest, "done"),
    ]


async def recorded(audit: Audit, changes: int) -> None:
    """Return when so many different records are there."""
    async with asyncio.timeout(20):
        while len(set(lines(await audit.store.read(0, 100)))) < changes:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pepper").write_text("0123456789abcdef" * 2)
    monkeypatch.setenv("CHATBOT_AUTH_PEPPER_FILE", str(tmp_path / "pepper"))
    monkeypatch.setenv("CHATBOT_AUTH_SQLITE_PATH", str(tmp_path / "keys.sqlite3"))
    monkeypatch.setenv("CHATBOT_AUDIT_SQLITE_PATH", str(tmp_path / "audit.sqlite3"))
    return tmp_path


def typed(capsys: pytest.CaptureFixture[str], words: str) -> tuple[str, str]:
    main(words.split())
    told = capsys.readouterr()
    return told.out, told.err


def test_the_command_records_what_it_does_and_finds_what_was_changed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(capsys, "create --tenant team-a")
    key_id = json.loads(typed(capsys, "list --json")[0])["id"]
    typed(capsys, f"revoke {key_id}")
    with pytest.raises(SystemExit):
        main(["revoke", "AAAAAAAAAAAA"])
    capsys.readouterr()

    listed = [json.loads(line) for line in typed(capsys, "audit list")[0].splitlines()]
    said = [(one["action"], one["object"], one["outcome"], one["tenant"]) for one in listed]
    assert said == [
        ("key.create", "", "begun", "team-a"),
        ("key.create", key_id, "done", "team-a"),
        ("key.revoke", key_id, "begun", ""),
        ("key.revoke", key_id, "done", "team-a"),
        ("key.revoke", "AAAAAAAAAAAA", "begun", ""),
        ("key.revoke", "AAAAAAAAAAAA", "failed", ""),
    ]
    assert {one["actor"] for one in listed} == {"chatbot-keys"}
    noted, summary = typed(capsys, "audit verify")
    assert "6 records, none changed or missing\n" in summary and noted.startswith("6:")
    assert typed(capsys, f"audit verify --noted {noted.strip()}")[0] == noted
    assert [one["number"] for one in map(json.loads, typed(capsys, "audit list --last 2")[0].splitlines())] == [5, 6]

    kept = (place / "audit.sqlite3").read_bytes()
    assert kept.count(key_id.encode()) > 0
    (place / "audit.sqlite3").write_bytes(kept.replace(b"chatbot-keyskey.revoke", b"chatbot-keyskey.rotate"))
    with pytest.raises(SystemExit) as ended:
        main(["audit", "verify"])
    assert ended.value.code == 1 and "3: was changed" in capsys.readouterr().err


def test_no_key_is_made_that_cannot_be_recorded(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "audit.sqlite3").write_text("no database, but long enough to look like one to whoever opens it" * 10)

    with pytest.raises(SystemExit) as ended:
        main(["create", "--tenant", "team-a"])

    told = capsys.readouterr()
    assert ended.value.code == 1 and told.out == "" and "CHATBOT_AUDIT_SQLITE_PATH" in told.err
    assert typed(capsys, "list --json")[0] == ""
