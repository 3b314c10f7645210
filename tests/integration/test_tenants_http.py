"""Policies of tenants over a real socket: changed while the service runs, obeyed by every route."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from chatbot.adapters.tenants.file import PolicyFile
from chatbot.api.accounts.decisions import DECISIONS
from chatbot.domain.access import Rights
from parts.http_service import ServiceOptions, running_service
from parts.keyed_service import keyed_service
from parts.stub_generator import HeldGenerator, StubGenerator
from parts.waiting import until

QUESTION = {"input_data": "안녕하세요!", "user_id": "test_user"}
ENGLISH = {"accept-language": "en"}
V1 = {"model": "stub", "messages": [{"role": "user", "content": "hi"}], "user": "test_user"}


def policies(folder: Path, text: str) -> PolicyFile:
    (folder / "tenants.yaml").write_text(text)
    return PolicyFile(folder / "tenants.yaml")


def change(found: PolicyFile, folder: Path, text: str) -> None:
    (folder / "tenants.yaml").write_text(text)
    found.look()


def code(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json() if answer.status_code != 200 else {}
    return answer.status_code, body["error"]["code"] if "error" in body else body.get("code", "")


async def ask(client: httpx.AsyncClient, header: Mapping[str, str]) -> list[tuple[int, str]]:
    """Both wire formats."""
    return [
        code(await client.post("/Llama", json=QUESTION, headers=dict(header))),
        code(await client.post("/v1/chat/completions", json=V1, headers=dict(header))),
    ]


async def test_a_suspended_tenant_may_do_nothing_until_it_is_back(tmp_path: Path) -> None:
    found = policies(tmp_path, "tenants: [{name: team-a}]")
    seen: list[list[tuple[int, str]]] = []
    async with (
        keyed_service(tmp_path, ServiceOptions(tenants=found)) as keyed,
        keyed.service.client(headers=ENGLISH) as client,
    ):
        ours, theirs = await keyed.header(), await keyed.header(tenant="team-b")
        for suspended in ("false", "true", "false"):
            change(found, tmp_path, f"tenants: [{{name: team-a, suspended: {suspended}}}]")
            seen += [await ask(client, ours), await ask(client, theirs)]
        change(found, tmp_path, "tenants: [{name: team-a, suspended: true}]")
        told = await client.get("/v1/models", headers=ours)
        forbidden = keyed.service.metric("chatbot_auth_requests_total", outcome="forbidden")

    well, refused = [(200, "")] * 2, [(403, "tenant_suspended")] * 2
    assert seen == [well, well, refused, well, well, well]
    assert told.json()["error"]["message"] == "The operator has suspended the tenant of this API key. Ask the operator."
    assert forbidden == 3


async def test_every_operation_that_asks_for_a_key_is_closed_to_a_suspended_tenant(tmp_path: Path) -> None:
    found = policies(tmp_path, "tenants: [{name: team-a, suspended: true}]")
    async with keyed_service(tmp_path, ServiceOptions(tenants=found)) as keyed, keyed.service.client() as client:
        header = await keyed.header()
        paths = (await client.get("/openapi.json")).json()["paths"]
        statuses = {
            operation["operationId"]: (await client.request(method, path, headers=header)).status_code
            for path, methods in paths.items()
            for method, operation in methods.items()
        }

    open_ones = {name for name, decision in DECISIONS.items() if decision.is_open}
    assert set(statuses) == set(DECISIONS)
    assert {name for name, status in statuses.items() if status != 403} == open_ones


async def test_services_and_backends_are_those_that_key_and_tenant_both_allow(tmp_path: Path) -> None:
    remote = StubGenerator()
    found = policies(tmp_path, "tenants: []")
    options = ServiceOptions(tenants=found, remote=remote)
    seen = []
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client(headers=ENGLISH) as client:
        free, local = await keyed.header(), await keyed.header(Rights(backends=frozenset({"llama"})))
        for text in (
            "{name: team-a, services: [character]}",
            "{name: team-a, backends: {openai: {allowed: false}}}",
            "{name: team-a, backends: {local: false}}",
            "{name: team-a, backends: {openai: {models: [gpt-*]}}}",
            "{name: team-a, backends: {openai: {models: [st*]}}}",
        ):
            change(found, tmp_path, f"tenants: [{text}]")
            answers = [
                code(await client.post(path, json=QUESTION, headers=header))
                for path in ("/Llama", "/OpenAI")
                for header in (free, local)
            ]
            seen.append([refusal or "ok" for _, refusal in answers])

    other, no, ok = "service_not_allowed", "model_not_allowed", "ok"
    assert seen == [
        [other, other, other, other],
        [ok, ok, no, no],
        [no, no, ok, no],
        [ok, ok, no, no],
        [ok, ok, ok, no],
    ]


async def test_callers_without_a_key_have_the_default_policy(tmp_path: Path) -> None:
    found = policies(tmp_path, "tenants: [{name: default, suspended: true}]")
    async with running_service(tmp_path, ServiceOptions(tenants=found)) as service, service.client() as client:
        refused = await ask(client, {})
        info = await client.get("/info")
        change(found, tmp_path, "tenants: [{name: default, backends: {openai: {allowed: false}}}]")
        allowed = await ask(client, {})

    assert refused == [(403, "tenant_suspended")] * 2
    assert info.status_code == 200
    assert allowed == [(200, "")] * 2


@pytest.mark.parametrize(("lifetime", "status"), [("30m", 200), ("10m", 401)])
async def test_a_key_ends_where_its_tenant_says_so(tmp_path: Path, lifetime: str, status: int) -> None:
    found = policies(tmp_path, f"tenants: [{{name: team-a, keys: {{maxLifetime: {lifetime}}}}}]")
    async with keyed_service(tmp_path, ServiceOptions(tenants=found)) as keyed, keyed.service.client() as client:
        keyed.issuer._now = lambda: time.time() - 1200
        header = await keyed.header()
        answer = await client.get("/key", headers=header)

    assert answer.status_code == status


async def test_a_tenant_of_weight_two_is_served_twice_for_each_time_of_another(tmp_path: Path) -> None:
    found = policies(tmp_path, "tenants: [{name: team-a, fairSharing: {weight: 2}}, {name: team-b}]")
    model = HeldGenerator()
    options = ServiceOptions(tenants=found, generator=model, slots=1)
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        of_a, of_b = await keyed.header(), await keyed.header(tenant="team-b")
        asked: list[asyncio.Task[httpx.Response]] = []
        for name, header in [("b", of_b), ("a", of_a)] * 6:
            body = QUESTION | {"input_data": name}
            asked.append(asyncio.create_task(client.post("/Llama", json=body, headers=header)))
            await until(lambda: model.running and keyed.service.admission.line("office").depth == len(asked) - 1)
        model.may_answer.set()
        answers = await asyncio.gather(*asked)

    assert {answer.status_code for answer in answers} == {200}
    served = "".join(request.dialogue.question.content for request in model.requests)
    assert served[1:10] == "aabaabaab", "all of them waited while the first one was served"
