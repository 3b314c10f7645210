"""Keys over a real socket: every route has a decision, hostile keys get one answer, and no key is ever shown."""

import asyncio
import io
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.api.accounts.decisions import DECISIONS, Decision
from chatbot.api.openapi.document import document
from chatbot.api.profiles import OFFICE
from chatbot.core.accounts.key_text import KeyText, mint
from chatbot.domain.access import Rights, Scope
from chatbot.domain.model import Capacity
from chatbot.server.app import build_api
from chatbot.server.observe.logs import JsonLines
from parts.http_service import ServiceOptions
from parts.keyed_service import Keyed, bearer, keyed_service
from parts.memory_keys import MemoryKeys
from parts.raw_http import request, send_raw
from parts.stub_generator import StubGenerator

QUESTION = {"input_data": "안녕하세요!", "user_id": "test_user"}
ENGLISH = {"accept-language": "en"}
V1 = {"model": "stub", "messages": [{"role": "user", "content": "hi"}]}


def operations() -> list[tuple[str, str, str, list[str] | None]]:
    """Method, path, id and scopes of every operation that the OpenAPI file has; None: no key is asked for."""
    paths = document(build_api(OFFICE), OFFICE)["paths"]
    return [
        (method.upper(), re.sub(r"{[^}]+}", "d", path), one["operationId"], wanted(one["security"]))
        for path, methods in paths.items()
        for method, one in methods.items()
    ]


def wanted(security: list[dict[str, list[str]]]) -> list[str] | None:
    return security[0]["key"] if "key" in security[0] else None


def code(answer: httpx.Response) -> str:
    body = answer.json()
    return str(body["error"]["code"] if "error" in body else body.get("code", ""))


async def test_every_operation_and_every_scope_is_decided(tmp_path: Path) -> None:
    """The matrix: each operation with no key, a key of each scope, and one of all scopes but the one it wants."""
    wrong = []
    async with keyed_service(tmp_path) as keyed, keyed.service.client(headers=ENGLISH) as client:
        headers = {scope: await keyed.header(Rights(frozenset({scope}))) for scope in Scope}
        for method, path, name, scopes in operations():
            without = (await client.request(method, path)).status_code
            if (without == 401) != (scopes is not None):
                wrong.append((name, "no key", without))
            for scope, header in headers.items():
                answer = await client.request(method, path, headers=header)
                may = scopes in (None, []) or str(scope) in (scopes or [])
                may = may or (scope is Scope.ADMIN and DECISIONS[name].admins_too)
                refused = answer.status_code == 403 and code(answer) == "scope_missing"
                if refused == may or answer.status_code == 401:
                    wrong.append((name, str(scope), answer.status_code))

    assert wrong == []
    assert len(operations()) >= 13 and {name for _, _, name, _ in operations()} <= set(DECISIONS)


async def test_a_route_that_slipped_by_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client() as client:
        header = await keyed.header()
        fewer = {name: decision for name, decision in DECISIONS.items() if name != "performance"}
        monkeypatch.setattr("chatbot.api.accounts.decisions.DECISIONS", fewer)
        answers = [await client.get("/performance", headers=headers) for headers in ({}, header)]

    assert [answer.status_code for answer in answers] == [500, 500]


def test_an_app_with_a_route_that_nobody_decided_about_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {name: decision for name, decision in DECISIONS.items() if name != "eraseConversation"}
    monkeypatch.setattr("chatbot.api.accounts.decisions.DECISIONS", fewer)

    with pytest.raises(RuntimeError, match="/conversations/{db_id}"):
        build_api(OFFICE)


def test_the_open_routes_are_those_that_tell_of_no_user() -> None:
    assert {name for name, decision in DECISIONS.items() if decision.is_open} == {"info", "health", "readiness"}
    assert Decision() not in [decision for name, decision in DECISIONS.items() if "onversation" in name]


def hostile(key: KeyText, other: KeyText, revoked: KeyText, expired: KeyText) -> dict[str, bytes]:
    """Values of `Authorization` that must not open anything."""
    text = key.text
    return {
        "unknown": f"Bearer {other.text}".encode(),
        "revoked": f"Bearer {revoked.text}".encode(),
        "expired": f"Bearer {expired.text}".encode(),
        "another key's secret": f"Bearer cbk_{key.id}_{other.text[17:]}".encode(),
        "wrong sum": f"Bearer {text[:-1]}{'0' if text[-1] != '0' else '1'}".encode(),
        "empty": b"",
        "no key": b"Bearer ",
        "no scheme": text.encode(),
        "other scheme": f"Basic {text}".encode(),
        "cut": f"Bearer {text[:40]}".encode(),
        "twice": f"Bearer {text} {text}".encode(),
        "list": f"Bearer {text}, Bearer {text}".encode(),
        "case": f"Bearer {text.swapcase()}".encode(),
        "sql": b"Bearer cbk_' OR '1'='1",
        "nosql": b'Bearer {"$gt": ""}',
        "latin-1": "Bearer cbk_äöü".encode("latin-1"),
        "utf-8": "Bearer 열쇠‮👩‍👩‍👧".encode(),
        "full width": f"Bearer {text.replace('c', 'ｃ', 1)}".encode(),
        "no utf-8": b"Bearer \xff\xfe\xf0",
        "tab": f"Bearer\t{text}".encode(),
        "long": b"Bearer " + b"a" * 10_000,
        "id of a path": b"Bearer cbk_../../../../_" + b"0" * 38,
    }


async def test_hostile_keys_get_one_and_the_same_answer(tmp_path: Path) -> None:
    async with keyed_service(tmp_path) as keyed:
        good, other, revoked, expired = await keyed.key(), mint(), await keyed.key(), await keyed.key(seconds=-1.0)
        await keyed.issuer.revoke(revoked.id)
        answers = {
            name: await send_raw(keyed.service.port, _raw(value))
            for name, value in hostile(good, other, revoked, expired).items()
        }
        control = await send_raw(keyed.service.port, _raw(f"Bearer {good.text}".encode()))

    assert control.status == 200
    assert {name: answer.status for name, answer in answers.items() if answer.status != 401} == {}
    assert len({answer.body for answer in answers.values()}) == 1
    assert {answer.headers.get("www-authenticate") for answer in answers.values()} == {"Bearer"}


async def test_what_is_no_key_of_ours_never_reaches_the_store(tmp_path: Path, figures: Callable[..., None]) -> None:
    store = MemoryKeys()
    well_formed = ("unknown", "another key's secret", "revoked", "expired")
    async with keyed_service(tmp_path, store=store) as keyed:
        texts = hostile(mint(), mint(), mint(), mint())
        before = store.calls.get("find", 0)
        for name in texts.keys() - set(well_formed):
            assert (await send_raw(keyed.service.port, _raw(texts[name]))).status == 401, name
        malformed = store.calls.get("find", 0) - before
        for name in well_formed:
            assert (await send_raw(keyed.service.port, _raw(texts[name]))).status == 401, name
        invented = store.calls.get("find", 0) - before

    figures(hostile=len(texts) - len(well_formed), store_calls=malformed)
    assert malformed == 0 and 0 < invented <= len(well_formed)


def _raw(authorization: bytes) -> bytes:
    plain = request("GET", "/key", headers={"authorization": "PLACE", "x-request-id": "r", "accept-language": "en"})
    return plain.replace(b"PLACE", authorization)


async def test_ten_megabytes_of_key_are_refused_and_cost_nothing_afterwards(tmp_path: Path) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client() as client:
        answer = await send_raw(keyed.service.port, _raw(b"Bearer " + b"a" * 10_000_000), seconds=60)
        after = await client.get("/key", headers=await keyed.header())

    assert answer.status in (0, 400, 401, 431)  # 0: hung up on before the end
    assert after.status_code == 200


@pytest.mark.parametrize("headers", [{"x-api-key": "{key}"}, {"authorization": "bearer  {key}"}])
async def test_a_key_comes_in_two_headers(tmp_path: Path, headers: dict[str, str]) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client() as client:
        key = await keyed.key()
        answer = await client.get("/key", headers={n: v.format(key=key.text) for n, v in headers.items()})

    assert (answer.status_code, answer.json()["id"]) == (200, key.id)


async def test_an_owner_sees_what_his_key_is_and_not_the_key(tmp_path: Path) -> None:
    rights = Rights(frozenset({Scope.CHAT}), frozenset({"office"}), user="me")
    async with keyed_service(tmp_path) as keyed, keyed.service.client() as client:
        key = await keyed.key(rights)
        answer = await client.get("/key", headers=bearer(key))

    told = answer.json()
    assert (told["tenant"], told["id"], told["scopes"], told["services"], told["user"]) == (
        "team-a", key.id, ["chat"], ["office"], "me",
    )  # fmt: skip
    assert told["expires_at"] > told.get("not_before", "") if told["not_before"] else told["expires_at"]
    assert key.text not in answer.text and answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("rights", "refusal"),
    [
        (Rights(services=frozenset({"character"})), "service_not_allowed"),
        (Rights(backends=frozenset({"openai"})), "model_not_allowed"),
        (Rights(networks=()), ""),
        (Rights.of(Rights().fields() | {"networks": ["10.0.0.0/8"]}), "address_not_allowed"),
        (Rights.of(Rights().fields() | {"networks": ["127.0.0.0/8"]}), ""),
        (Rights(user="other"), "user_mismatch"),
        (Rights(user="test_user"), ""),
    ],
)
async def test_a_key_is_good_only_for_what_it_says(tmp_path: Path, rights: Rights, refusal: str) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client(headers=ENGLISH) as client:
        header = await keyed.header(rights)
        product = await client.post("/Llama", json=QUESTION, headers=header)
        v1 = await client.post("/v1/chat/completions", json=V1 | {"user": "test_user"}, headers=header)

    expected = (403, refusal) if refusal else (200, "")
    for answer in (product, v1):
        assert (answer.status_code, code(answer) if answer.status_code != 200 else "") == expected
        assert "test_user" not in answer.text and "other" not in answer.text.replace("another", "")


async def test_a_key_bound_to_a_user_needs_no_user_and_sees_no_other(tmp_path: Path) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client() as client:
        free, bound = await keyed.header(), await keyed.header(Rights(user="유저"))
        for user in ("유저", "other"):
            await client.post("/Llama", json=QUESTION | {"user_id": user, "db_id": "d-" + str(len(user))}, headers=free)
        listed = await client.get("/conversations", headers=bound)
        named = await client.get("/conversations", headers=bound | {"x-user-id": "%EC%9C%A0%EC%A0%80"})
        other = await client.get("/conversations", headers=bound | {"x-user-id": "other"})
        asked = await client.post("/v1/chat/completions", json=V1, headers=bound)
        claimed = await client.post("/v1/chat/completions", json=V1 | {"safety_identifier": "other"}, headers=bound)

    assert [line["db_id"] for line in listed.json()["conversations"]] == ["d-2"]
    assert listed.json() == named.json()
    assert [answer.status_code for answer in (other, asked, claimed)] == [403, 200, 403]


async def test_a_key_for_the_local_model_never_leaves_it(tmp_path: Path) -> None:
    """Neither by asking, nor by the model list, nor by the fallback."""
    remote = StubGenerator()
    options = ServiceOptions(
        generator=StubGenerator(has_model=False), remote=remote, may_fall_back=True, queue_seconds=0.3
    )
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        keyed.service.admission.set_capacity(Capacity(4, open=False))
        local, free = await keyed.header(Rights(backends=frozenset({"llama"}))), await keyed.header()
        asked = await client.post("/OpenAI", json=QUESTION, headers=local)
        fell = await client.post("/Llama", json=QUESTION, headers=local)
        models = [(await client.get("/v1/models", headers=header)).json()["data"] for header in (local, free)]
        before = len(remote.requests)
        control = await client.post("/Llama", json=QUESTION, headers=free)

    assert (asked.status_code, before) == (403, 0)
    assert fell.status_code in (429, 504)  # it waits for the local model, or is told that this takes too long
    assert (models[0], len(models[1])) == ([], 1)
    assert (control.status_code, len(remote.requests)) == (200, 1)


async def test_conversations_stay_with_the_tenant_when_its_key_is_rotated(tmp_path: Path) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client(headers={"x-user-id": "test_user"}) as client:
        old, stranger = await keyed.key(), await keyed.header(tenant="team-b")
        await client.post("/Llama", json=QUESTION | {"db_id": "d"}, headers=bearer(old))
        _, new = await keyed.issuer.rotate(old.id, overlap_seconds=100, life_seconds=100)
        seen = [
            len((await client.get("/conversations", headers=header)).json()["conversations"])
            for header in (bearer(old), bearer(new), stranger)
        ]

    assert seen == [1, 1, 0]


@pytest.mark.scale
async def test_a_rotation_refuses_nobody(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Callers ask without a pause while their key is rotated; each takes the new one at a moment of its own."""
    statuses: list[int] = []
    async with keyed_service(tmp_path) as keyed, keyed.service.client() as client:
        current = [await keyed.key()] * 8

        async def ask(caller: int, count: int) -> None:
            for _ in range(count):
                answer = await client.post("/Llama", json=QUESTION, headers=bearer(current[caller]))
                statuses.append(answer.status_code)

        rotations = scale(3, 20)
        for _ in range(rotations):
            asking = [asyncio.create_task(ask(caller, scale(15, 60))) for caller in range(8)]
            _, new = await keyed.issuer.rotate(current[0].id, overlap_seconds=600, life_seconds=600)
            await keyed.stored.look()
            for caller in range(8):
                await asyncio.sleep(0.01)
                current[caller] = new
            await asyncio.gather(*asking)

    figures(rotations=rotations, requests=len(statuses), refused=sum(status != 200 for status in statuses))
    assert set(statuses) == {200}


async def test_a_store_that_is_away_refuses_no_known_key_and_judges_no_other(tmp_path: Path) -> None:
    store = MemoryKeys()
    async with keyed_service(tmp_path, store=store) as keyed, keyed.service.client(headers=ENGLISH) as client:
        known = await keyed.key()
        store.records = dict(await _records(keyed))
        first = await client.get("/key", headers=bearer(known))
        store.is_away = True
        again = await client.get("/key", headers=bearer(known))
        unknown = await client.get("/v1/models", headers=bearer(mint()))
        typo = await client.get("/key", headers=bearer("cbk_typo"))
        open_ones = [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/info")]
        metric = keyed.service.metric("chatbot_auth_requests_total", outcome="unavailable")
        store.is_away = False

    assert (first.status_code, again.status_code, typo.status_code, open_ones) == (200, 200, 401, [200] * 3)
    assert (unknown.status_code, code(unknown), unknown.headers["retry-after"]) == (503, "keys_unavailable", "5")
    assert "keep it" in unknown.json()["error"]["message"] and metric == 1


async def _records(keyed: Keyed) -> Any:
    store = keyed.issuer._store
    return await store.find([key.id for key in keyed.keys])


async def test_outcomes_are_counted(tmp_path: Path) -> None:
    async with keyed_service(tmp_path) as keyed, keyed.service.client() as client:
        reader = await keyed.header(Rights(frozenset({Scope.CONVERSATIONS_READ})))
        for header in ({}, bearer(mint()), reader, await keyed.header()):
            await client.post("/Llama", json=QUESTION, headers=header)
        counted = {
            outcome: keyed.service.metric("chatbot_auth_requests_total", outcome=outcome)
            for outcome in ("accepted", "anonymous", "unauthorized", "forbidden", "unavailable")
        }

    assert counted == {"accepted": 1, "anonymous": 0, "unauthorized": 2, "forbidden": 1, "unavailable": 0}


@pytest.mark.scale
async def test_no_key_is_in_any_log_metric_answer_or_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Good, wrong, revoked, mistyped keys in every place that a request has; then everything that came out is read."""
    caplog.set_level(logging.DEBUG)
    out = io.StringIO()
    async with keyed_service(tmp_path) as keyed, keyed.service.client(headers=ENGLISH) as client:
        good, revoked, unknown = await keyed.key(), await keyed.key(), mint()
        await keyed.issuer.revoke(revoked.id)
        typo = good.text[:-1] + ("0" if good.text[-1] != "0" else "1")
        texts = [good.text, revoked.text, unknown.text, typo]
        for number in range(scale(80, 2000)):
            text = texts[number % 4]
            answers = await asyncio.gather(
                client.post("/Llama", json=QUESTION | {"db_id": f"d{number % 7}"}, headers=bearer(text)),
                client.get(f"/v1/models/{text}", headers={"x-api-key": text}),
                client.post("/v1/chat/completions", content=text, headers=bearer(text)),
                client.get(f"/conversations/{text[:60]}?after={text}", headers=bearer(text) | {"x-user-id": "u"}),
                client.get(f"/{text}", headers={"x-request-id": text.replace("_", "/"), "accept": "text/html"}),
            )
            out.writelines(f"{answer.headers}{answer.text}\n" for answer in answers)
        out.write(keyed.service.meters.render("")[0].decode())
        await asyncio.sleep(0)
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    out.writelines(JsonLines().format(record) + "\n" for record in ours)
    files = _written_in(tmp_path)

    written = out.getvalue()
    secrets = [text[17:] for text in texts] + [text[17:49] for text in texts]
    figures(requests=5 * scale(80, 2000), bytes_read=len(written) + len(files))
    assert [secret for secret in secrets if secret in written or secret.encode() in files] == []
    assert f'"key": "{good.id}"' in written and '"tenant": "team-a"' in written
    assert keyed.peppers.pseudonyms.of("team-a", "test_user") in written and '"test_user"' not in written


def _written_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.name != "pepper")


async def test_wrong_secrets_take_as_long_as_unknown_ids(tmp_path: Path, figures: Callable[..., None]) -> None:
    """Figures only: a busy machine's clock proves nothing; that the same work is done is shown in unit tests."""
    async with keyed_service(tmp_path) as keyed:
        key = await keyed.key()
        first, last = "A" if key.text[17] != "A" else "B", "A" if key.text[48] != "A" else "B"
        cases = {
            "first_byte": KeyText(key.id, key.text[:17] + first + key.text[18:]),
            "last_byte": KeyText(key.id, key.text[:48] + last + key.text[49:]),
            "unknown_id": mint(),
        }
        medians = {}
        for name, wrong in cases.items():
            seconds = []
            for _ in range(2000):
                began = time.perf_counter()
                assert await keyed.stored.find(wrong) is None
                seconds.append(time.perf_counter() - began)
            medians[f"{name}_us"] = round(sorted(seconds)[1000] * 1e6, 2)

    figures(**medians)
