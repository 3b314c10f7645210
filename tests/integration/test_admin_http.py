"""Keys over HTTP, for administrators: who may, what they can do, what is refused, and what is left of it in a log."""

import asyncio
import json
import logging
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.api.admin.beside import with_admin
from chatbot.api.admin.document import admin_document
from chatbot.core.accounts.issue import Wish, new_record
from chatbot.core.accounts.key_text import mint
from chatbot.domain.access import ALL_SCOPES, Rights, Scope
from chatbot.domain.tenants.policy import Policies, Tenant
from chatbot.server.observe.logs import JsonLines
from parts.admin_port import ADMIN, administered
from parts.keyed_service import Keyed, bearer
from parts.memory_keys import MemoryKeys
from parts.signer import Signer

QUESTION = {"input_data": "안녕하세요!", "user_id": "u"}
UNSIGNED = "eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImFkbWluIn0."


def operations() -> list[tuple[str, str, str]]:
    """Method, path and id of every operation of the document."""
    return [
        (method.upper(), path.replace("{key_id}", "A" * 12), one["operationId"])
        for path, methods in admin_document()["paths"].items()
        for method, one in methods.items()
    ]


async def smuggled(keyed: Keyed) -> dict[str, str]:
    """A key that no command makes: whoever can write to the store gave an administrator's the right to chat."""
    key = mint()
    pepper, digest = keyed.peppers.digest(key.text)
    wish = Wish("team-a", time.time() + 1000, rights=Rights(ALL_SCOPES | {Scope.ADMIN}))
    await keyed.stored.store.add(replace(new_record(wish, key, time.time()), pepper=pepper, digest=digest))
    return bearer(key)


async def test_only_administrators_may(tmp_path: Path) -> None:
    """The matrix: each operation without a valid key, with a key of each scope, and from a network that is not its."""
    wrong = []
    async with administered(tmp_path) as world, httpx.AsyncClient(base_url=str(world.admin.base_url)) as client:
        keys = {scope: await world.keyed.header(Rights(frozenset({scope}))) for scope in Scope}
        everything = await world.keyed.header()
        away = await world.keyed.header(replace(ADMIN, networks=(ip_network("192.0.2.0/24"),)))
        for method, path, name in operations():
            for header in ({}, bearer(mint()), bearer(UNSIGNED), {"x-api-key": ""}):
                answer = await client.request(method, path, headers=header, json={})
                wrong += [] if answer.status_code == 401 else [(name, header, answer.status_code)]
            for scope, header in [*keys.items(), ("everything else", everything)]:
                answer = await client.request(method, path, headers=header, json={})
                wrong += [] if (answer.status_code == 403) == (scope != Scope.ADMIN) else [(name, scope)]
            answer = await client.request(method, path, headers=away, json={})
            wrong += [] if answer.json()["code"] == "address_not_allowed" else [(name, "away")]

    assert wrong == []
    assert {name for _, _, name in operations()} == {
        *("listKeys", "createKey", "readKey", "rotateKey", "limitKey", "revokeKey")
    }


async def test_an_administrator_answers_no_question_and_the_service_has_no_administration(tmp_path: Path) -> None:
    async with administered(tmp_path) as world, world.keyed.service.client() as client:
        admin = {"authorization": world.admin.headers["authorization"]}
        asked = [
            await client.post("/Llama", json=QUESTION, headers=header)
            for header in (admin, await smuggled(world.keyed))
        ]
        public = [await client.get(path, headers=admin) for path in ("/admin/keys", "/admin", "/admin/keys/x/revoke")]

    assert [(answer.status_code, answer.json()["code"]) for answer in asked] == [(403, "scope_missing")] * 2
    assert [answer.status_code for answer in public] == [404] * 3


async def test_a_key_is_made_used_limited_rotated_and_revoked(tmp_path: Path) -> None:
    async with administered(tmp_path) as world, world.keyed.service.client() as client:
        made = await world.admin.post("/admin/keys", json={"tenant": "team-a", "label": "앱", "scopes": ["chat"]})
        key, key_id = made.json()["key"], made.json()["record"]["id"]
        asked = await client.post("/Llama", json=QUESTION, headers=bearer(key))
        limited = await world.admin.put(f"/admin/keys/{key_id}/limits", json={"requests_per_minute": 60})
        rotated = await world.admin.post(f"/admin/keys/{key_id}/rotate", json={"overlap_seconds": 60})
        newer = rotated.json()["key"]
        both = [(await client.get("/key", headers=bearer(one))).status_code for one in (key, newer)]
        ended = await world.admin.post(f"/admin/keys/{key_id}/revoke")
        at_once = (await client.get("/key", headers=bearer(key))).status_code
        again = await world.admin.post(f"/admin/keys/{key_id}/revoke")
        gone = await world.admin.post(f"/admin/keys/{key_id}/rotate", json={})
        still = await client.get("/key", headers=bearer(newer))

    assert (made.status_code, asked.status_code, both, at_once) == (201, 200, [200, 200], 401)
    assert made.json()["record"]["scopes"] == ["chat"] and made.json()["record"]["label"] == "앱"
    assert limited.json()["limits"] == {"requests_per_minute": 60}
    assert rotated.json()["record"]["limits"] == {"requests_per_minute": 60, "account": key_id}
    assert (ended.json()["state"], again.json()["state"]) == ("revoked", "revoked")
    assert ended.json()["replaced_by"] == rotated.json()["record"]["id"] == still.json()["id"]
    assert (gone.status_code, gone.json()["code"]) == (404, "key_not_found")
    assert made.headers["cache-control"] == "no-store"


async def test_what_a_key_shall_be_is_kept_as_it_was_sent(tmp_path: Path) -> None:
    signer = Signer()
    asked = {
        **{"tenant": "team-b", "scopes": ["documents", "chat"], "services": ["office"], "backends": ["llama"]},
        **{"networks": ["10.0.0.0/8", "fd00::/8"], "signer": signer.public, "lifetime_seconds": 3600},
        **{"starts_in_seconds": 600, "limits": {"requests_per_minute": 5, "burst": 2, "micro_usd_per_day": 7}},
    }
    async with administered(tmp_path) as world:
        record = (await world.admin.post("/admin/keys", json=asked)).json()["record"]
        read = (await world.admin.get(f"/admin/keys/{record['id']}")).json()
        admin = await world.admin.post("/admin/keys", json={"tenant": "ops", "scopes": ["admin"]})
        usual = await world.admin.post("/admin/keys", json={"tenant": "team-b"})
        by_it = await world.admin.get("/admin/keys", headers=bearer(admin.json()["key"]))

    told = ("scopes", "services", "backends", "networks", "signer", "limits", "user_from", "state")
    assert read == record
    assert [record[name] for name in told] == [
        *(["chat", "documents"], ["office"], ["llama"], asked["networks"], signer.public, asked["limits"]),
        *("token", "not yet"),
    ]
    assert usual.json()["record"]["scopes"] == sorted(map(str, ALL_SCOPES)) and by_it.status_code == 200


async def test_all_keys_come_in_pages(tmp_path: Path) -> None:
    async with administered(tmp_path) as world:
        for number in range(7):
            await world.admin.post("/admin/keys", json={"tenant": f"t{number % 2}", "label": str(number)})
        seen: list[dict[str, Any]] = []
        after = ""
        while after is not None:
            page = (await world.admin.get("/admin/keys", params={"limit": 3, "after": after})).json()
            seen += page["keys"]
            after = page["next_after"]
        one = (await world.admin.get("/admin/keys", params={"tenant": "t1"})).json()
        wrong = [await world.admin.get("/admin/keys", params=each) for each in ({"limit": 101}, {"after": "nobody"})]

    assert [(line["tenant"], line["label"]) for line in seen] == [
        *(("ops", ""), ("t0", "0"), ("t0", "2"), ("t0", "4"), ("t0", "6"), ("t1", "1"), ("t1", "3"), ("t1", "5"))
    ]
    assert [line["label"] for line in one["keys"]] == ["1", "3", "5"] and one["next_after"] is None
    assert [(each.status_code, each.json()["code"]) for each in wrong] == [
        *((422, "invalid_input"), (404, "key_not_found"))
    ]


def wrong_wishes() -> list[tuple[dict[str, Any], str, str]]:
    """A body, the field that is wrong in it, and what is."""
    return [
        ({}, "tenant", "required"),
        ({"tenant": "a b"}, "tenant", "bad_name"),
        ({"tenant": {"$gt": ""}}, "tenant", "not_text"),
        ({"scops": ["chat"]}, "tenant", "required"),
        ({"tenant": "a", "scops": ["chat"]}, "scops", "not_supported"),
        ({"tenant": "a", "scopes": ["root"]}, "scopes", "wrong_choice"),
        ({"tenant": "a", "scopes": ["admin", "chat"]}, "scopes", "admin_alone"),
        ({"tenant": "a", "services": ["mail"]}, "services", "wrong_choice"),
        ({"tenant": "a", "backends": ["gpt"]}, "backends", "wrong_choice"),
        ({"tenant": "a", "networks": ["10.0.0.1/8"]}, "networks", "not_networks"),
        ({"tenant": "a", "user": ""}, "user", "too_short"),
        ({"tenant": "a", "label": "a\nb"}, "label", "not_printable"),
        ({"tenant": "a", "signer": "CANARY"}, "signer", "not_public_key"),
        ({"tenant": "a", "signer": Signer().secret}, "signer", "not_public_key"),
        ({"tenant": "a", "signer": Signer().public, "user": "u"}, "signer", "user_and_signer"),
        ({"tenant": "a", "lifetime_seconds": 366 * 86_400}, "lifetime_seconds", "too_large"),
        ({"tenant": "short", "lifetime_seconds": 7200}, "lifetime_seconds", "too_large"),
        ({"tenant": "a", "lifetime_seconds": True}, "lifetime_seconds", "not_integer"),
        ({"tenant": "a", "limits": {"burst": 5}}, "limits.requests_per_minute", "required"),
        ({"tenant": "a", "limits": {"tokens_per_day": 0}}, "limits.tokens_per_day", "too_small"),
        ({"tenant": "a", "limits": {"tokens_per_day": 1e15}}, "limits.tokens_per_day", "not_integer"),
        ({"tenant": "a", "limits": {"account": "x"}}, "limits.account", "not_supported"),
    ]


async def test_a_wrong_wish_makes_nothing_and_names_its_field(tmp_path: Path) -> None:
    short = Policies([Tenant("short", longest_key_seconds=3600)])
    async with administered(tmp_path, tenants=short) as world:
        answers = [await world.admin.post("/admin/keys", json=body) for body, _, _ in wrong_wishes()]
        kept = (await world.admin.get("/admin/keys")).json()["keys"]

    told = [(answer.status_code, answer.json()["field"], answer.json()["problem"]) for answer in answers]
    assert told == [(422, field, problem) for _, field, problem in wrong_wishes()]
    text = "".join(answer.text for answer in answers)
    assert len(kept) == 1 and "CANARY" not in text and "PRIVATE" not in text


async def test_hostile_bodies_and_ids_are_answered_in_kind(tmp_path: Path) -> None:
    async with administered(tmp_path) as world:
        bodies = [b"", b"[]", b"{", b'{"tenant": NaN}', b'{"tenant": "a", "tenant": "b"}', b"\xff", b"[" * 10_000]
        headers = {"content-type": "application/json"}
        refused = [await world.admin.post("/admin/keys", content=body, headers=headers) for body in bodies]
        large = await world.admin.post("/admin/keys", content=b" " * 70_000, headers=headers)
        ids = ["x", "..", "' OR 1=1", '{"$gt": ""}', "A" * 500, "%00", mint().text]
        unknown = [await world.admin.get(f"/admin/keys/{each}") for each in ids]
        method = await world.admin.delete("/admin/keys")
        other = await world.admin.get("/admin/secrets")
        long = await world.admin.get("/admin/keys", headers=bearer("a" * 10_000))

    assert {answer.status_code for answer in refused} == {400} and large.status_code == 413
    assert {answer.status_code for answer in unknown} == {404} and other.status_code == 404
    assert (method.status_code, long.status_code) == (405, 401)


async def test_a_store_that_is_away_is_told_and_changes_nothing(tmp_path: Path) -> None:
    store = MemoryKeys()
    async with administered(tmp_path, store=store) as world:
        assert (await world.admin.get("/admin/keys")).status_code == 200
        store.is_away = True
        answers = [
            await world.admin.get(f"/admin/keys/{world.key_id}"),
            await world.admin.post(f"/admin/keys/{world.key_id}/revoke"),
        ]
        store.is_away = False

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "store_unavailable")] * 2
    assert not store.records[world.key_id].is_disabled


async def test_the_log_says_who_did_what_and_holds_no_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with administered(tmp_path) as world:
        made = await world.admin.post("/admin/keys", json={"tenant": "team-a", "user": "CANARY"})
        rotated = await world.admin.post(f"/admin/keys/{made.json()['record']['id']}/rotate", json={})
        await world.admin.get(f"/admin/keys/{rotated.json()['key']}")
        await asyncio.sleep(0)
        admin = world.admin.headers["authorization"].removeprefix("Bearer ")

    ours = [JsonLines().format(each) for each in caplog.records if not each.name.startswith(("httpx", "httpcore"))]
    told = [json.loads(line) for line in ours]
    done = [(line["method"], line["route"]) for line in told if line.get("key") == world.key_id]
    assert done == [
        *(("POST", "/admin/keys"), ("POST", "/admin/keys/{key_id}/rotate"), ("GET", "/admin/keys/{key_id}"))
    ]
    secrets = [made.json()["key"][17:], rotated.json()["key"][17:], admin[17:], "CANARY"]
    assert [secret for secret in secrets if secret in "".join(ours)] == []


async def test_pages_and_administration_stand_beside_each_other() -> None:
    async def named(name: str, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    async def pages(_scope: Any, _receive: Any, send: Any) -> None:
        await named("pages", send)

    async def admin(_scope: Any, _receive: Any, send: Any) -> None:
        await named("admin", send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(with_admin(pages, admin)), base_url="http://x"
    ) as client:
        found = [(await client.get(path)).text for path in ("/metrics", "/admin", "/admin/keys", "/administrator")]

    assert found == ["pages", "admin", "admin", "pages"] and with_admin(pages, None) is pages


def test_the_document_names_the_scope_and_every_error() -> None:
    document = admin_document()

    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["security"] == [{"key": ["admin"]}]
            assert {"401", "403", "503"} <= operation["responses"].keys()
            assert ("404" in operation["responses"]) == ("{key_id}" in path)
    assert "$ref" in json.dumps(document) and "HTTPValidationError" not in json.dumps(document)
