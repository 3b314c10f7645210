"""Keys, conversations, probes, docs, metrics and logs over a real socket."""

import hashlib
import json
import logging
from ipaddress import ip_network
from pathlib import Path

import pytest
from chatbot.adapters.history_bounds import HistoryBounds
from chatbot.adapters.sqlite import SqliteConversations
from chatbot.adapters.tenants.file import PolicyFile
from chatbot.api.operations import internal_app
from chatbot.core.performance import Machine, Share
from chatbot.llm.supervision.status_board import StatusBoard
from chatbot.server.app import HttpOptions
from chatbot.server.observe.logs import JsonLines
from parts.http_service import ServiceOptions, build, running_service, serving
from parts.stub_generator import StubGenerator

QUESTION = {"input_data": "안녕하세요!", "user_id": "test_user"}
ME = {"x-user-id": "test_user"}
ENGLISH = {"accept-language": "en"}


def keys_file(folder: Path, **keys: str) -> Path:
    path = folder / "keys"
    path.write_text("".join(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}\n" for name, key in keys.items()))
    return path


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/Llama"),
        ("POST", "/OpenAI"),
        ("POST", "/chat"),
        ("GET", "/chat/a/history"),
        ("DELETE", "/chat/a/history"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/stub"),
        ("GET", "/conversations"),
        ("GET", "/conversations/a"),
        ("DELETE", "/conversations/a"),
        ("GET", "/performance"),
    ],
)
async def test_every_endpoint_of_value_wants_a_key(tmp_path: Path, method: str, path: str) -> None:
    options = ServiceOptions(keys_file=keys_file(tmp_path, a="k1"))
    async with running_service(tmp_path, options) as service, service.client(headers=ENGLISH) as client:
        missing = await client.request(method, path)
        unknown = await client.request(method, path, headers=bearer("nope"))

    assert (missing.status_code, unknown.status_code) == (401, 401)
    assert missing.headers["www-authenticate"] == "Bearer"
    first, second = missing.json(), unknown.json()
    for body in (first, second):
        body.pop("request_id", None) or body["error"].pop("request_id")
    assert first == second


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/info", "/docs", "/openapi.json"])
async def test_probes_docs_and_info_are_open(tmp_path: Path, path: str) -> None:
    options = ServiceOptions(keys_file=keys_file(tmp_path, a="k1"))
    async with running_service(tmp_path, options) as service, service.client() as client:
        answer = await client.get(path)

    assert answer.status_code == 200


async def test_tenants_do_not_see_each_other(tmp_path: Path) -> None:
    options = ServiceOptions(keys_file=keys_file(tmp_path, a="k1", b="k2"))
    async with running_service(tmp_path, options) as service, service.client() as client:
        body = QUESTION | {"db_id": "d"}
        await client.post("/Llama", json=body, headers=bearer("k1"))
        await client.post("/Llama", json=body | {"input_data": "second"}, headers=bearer("k2"))
        mine = (await client.get("/conversations/d", headers=ME | bearer("k1"))).json()
        other = (await client.get("/conversations/d", headers=ME | bearer("k2"))).json()
        await client.delete("/conversations/d", headers=ME | bearer("k2"))
        kept = await client.get("/conversations/d", headers=ME | bearer("k1"))

    assert [turn["question"] for turn in mine["turns"]] == ["안녕하세요!"]
    assert [turn["question"] for turn in other["turns"]] == ["second"]
    assert service.generator.requests[1].dialogue.history == ()
    assert kept.status_code == 200


async def test_a_user_lists_reads_and_erases_conversations(tmp_path: Path) -> None:
    user = {"x-user-id": "%EC%9C%A0%20%EC%A0%80"}
    async with running_service(tmp_path) as service, service.client(headers=ENGLISH) as client:
        for name in ("a", "b", "c"):
            await client.post("/Llama", json=QUESTION | {"user_id": "유 저", "db_id": name})
        first = (await client.get("/conversations?limit=2", headers=user)).json()
        rest = (await client.get(f"/conversations?limit=2&after={first['next_after']}", headers=user)).json()
        one = (await client.get("/conversations/b", headers=user)).json()
        erased = [(await client.delete("/conversations/b", headers=user)).status_code for _ in range(2)]
        gone = await client.get("/conversations/b", headers=user)
        stranger = await client.get("/conversations/a", headers=ME)

    assert [line["db_id"] for line in first["conversations"]] == ["a", "b"]
    assert [line["db_id"] for line in rest["conversations"]] == ["c"] and rest["next_after"] is None
    assert (one["turns"][0]["question"], one["turns"][0]["answer"]) == ("안녕하세요!", "안녕하세요!")
    assert erased == [204, 204]
    assert (gone.status_code, gone.json()["code"]) == (404, "conversation_not_found")
    assert stranger.status_code == 404


@pytest.mark.parametrize(
    ("headers", "query", "field"),
    [
        ({}, "", "X-User-ID"),
        ({"x-user-id": ""}, "", "X-User-ID"),
        ({"x-user-id": "%ff"}, "", "X-User-ID"),
        ({"x-user-id": "a%0Ab"}, "", "X-User-ID"),
        ({"x-user-id": "a" * 129}, "", "X-User-ID"),
        (ME, "?limit=0", "limit"),
        (ME, "?limit=101", "limit"),
        (ME, "?limit=x", "limit"),
        (ME, "?after=../x", "after"),
    ],
)
async def test_names_what_is_wrong_with_a_listing(
    tmp_path: Path, headers: dict[str, str], query: str, field: str
) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.get(f"/conversations{query}", headers=headers)

    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_without_keys_conversations_are_for_this_machine(tmp_path: Path) -> None:
    behind = HttpOptions(trusted_proxies=[ip_network("127.0.0.0/8")])
    async with running_service(tmp_path, ServiceOptions(http=behind)) as service, service.client() as client:
        here = await client.get("/conversations", headers=ME)
        outside = await client.get("/conversations", headers=ME | {"x-forwarded-for": "127.0.0.1, 203.0.113.9"})
    async with running_service(tmp_path) as service, service.client() as client:
        not_believed = await client.get("/conversations", headers=ME | {"x-forwarded-for": "203.0.113.9"})

    assert (here.status_code, outside.status_code, not_believed.status_code) == (200, 403, 200)
    assert outside.json()["code"] == "forbidden"


@pytest.mark.parametrize(("refuses", "status", "saved"), [(True, 503, None), (False, 200, "false")])
async def test_a_store_that_is_down_is_told(tmp_path: Path, refuses: bool, status: int, saved: str | None) -> None:
    store = SqliteConversations.open(tmp_path, HistoryBounds())  # a folder can never be opened as a file
    options = ServiceOptions(store=store, refuses_when_down=refuses)
    async with running_service(tmp_path, options) as service, service.client() as client:
        answer = await client.post("/Llama", json=QUESTION | {"db_id": "d"})
        listing = await client.get("/conversations", headers=ME)
        ready = await client.get("/readyz")
        plain = await client.post("/Llama", json=QUESTION)
    await store.close()

    assert (answer.status_code, answer.headers.get("x-history-saved")) == (status, saved)
    assert (listing.status_code, listing.json()["code"]) == (503, "store_unavailable")
    assert (ready.status_code, plain.status_code) == (200, 200)


async def test_is_not_ready_without_a_model_and_alive_all_the_same(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator(has_model=False))
    async with running_service(tmp_path, options) as service, service.client() as client:
        ready, alive, info = [await client.get(path) for path in ("/readyz", "/healthz", "/info")]

    assert (ready.status_code, ready.json()["code"], alive.status_code) == (503, "model_unavailable", 200)
    assert info.json()["model"] is None


async def test_performance_counts(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        await client.post("/Llama", json=QUESTION)
        await client.post("/OpenAI", json=QUESTION)
        counts = (await client.get("/performance")).json()

    assert set(counts) == {
        "service_type",
        "total_requests",
        "successful_requests",
        "failed_requests",
        "active_requests",
        "active_connections",
        "max_concurrent",
        "queue_size",
        "avg_response_time",
        "success_rate",
        "uptime_seconds",
    }
    assert (counts["service_type"], counts["total_requests"], counts["failed_requests"]) == ("office", 2, 1)
    assert (counts["success_rate"], counts["max_concurrent"], counts["queue_size"]) == (50.0, 4, 0)


async def test_the_internal_port_has_metrics_and_the_model_and_nothing_else(tmp_path: Path) -> None:
    app, service = build(tmp_path, ServiceOptions())
    internal = internal_app(service.meters.render, lambda: StatusBoard(False).status, lambda: PolicyFile(None).status)
    async with serving(app, service.gate, internal) as (port, internal_port), service.client() as client:
        await client.post(f"http://127.0.0.1:{port}/Llama", json=QUESTION)
        plain = await client.get(f"http://127.0.0.1:{internal_port}/metrics")
        openmetrics = await client.get(
            f"http://127.0.0.1:{internal_port}/metrics",
            headers={"accept": "application/openmetrics-text; version=1.0.0"},
        )
        model = await client.get(f"http://127.0.0.1:{internal_port}/model")
        policy = await client.get(f"http://127.0.0.1:{internal_port}/policy")
        vectors = await client.get(f"http://127.0.0.1:{internal_port}/embedding")
        pages = ("/metrics", "/model", "/policy", "/embedding")
        outside = [await client.get(f"http://127.0.0.1:{port}{path}") for path in pages]

    assert 'chatbot_requests_total{outcome="ok",route="/Llama",service="office",status="200"} 1.0' in plain.text
    assert 'chatbot_queue_requests_total{outcome="dispatched",service="office"} 1.0' in plain.text
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")
    assert set(model.json()) == {
        "state",
        "revision",
        "expected",
        "since",
        "reason",
        "message",
        "tokens_per_second",
        "engine_restarts",
    }
    assert set(policy.json()) == {"state", "digest", "since", "message", "tenants"}
    assert set(vectors.json()) == set(model.json())
    assert vectors.json()["state"] == "no_model" and "CHATBOT_EMBEDDING_DIR" in vectors.json()["message"]
    assert [answer.status_code for answer in outside] == [404, 404, 404, 404]


async def test_docs_know_their_prefix(tmp_path: Path) -> None:
    options = ServiceOptions(http=HttpOptions(root_path="/office"))
    async with running_service(tmp_path, options) as service, service.client() as client:
        docs = await client.get("/docs")
        files = [await client.get(path) for path in ("/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css")]
        described = (await client.get("/openapi.json")).json()

    assert "/office/openapi.json" in docs.text
    assert [file.status_code for file in files] == [200, 200]
    assert "//" not in docs.text.replace("// `SwaggerUIBundle`", "")  # nothing from elsewhere
    assert described["servers"] == [{"url": "/office"}]
    assert described["openapi"].startswith("3.1")


async def test_a_stranger_finds_a_page_or_json(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        page = await client.get("/canary", headers={"accept": "text/html"})
        plain = await client.get("/canary")
        v1 = await client.get("/v1/canary", headers=ENGLISH)
        slash = await client.post("/Llama/", json=QUESTION, headers={"host": "canary"})
        method = await client.get("/Llama")

    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert (plain.status_code, plain.json()["code"]) == (404, "not_found")
    assert v1.json()["error"]["code"] == "not_found"
    assert (slash.status_code, method.status_code, method.headers["allow"]) == (404, 405, "POST")
    assert all("canary" not in answer.text for answer in (page, plain, v1, slash))


async def test_browsers_may_call_from_named_origins_only(tmp_path: Path) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    options = ServiceOptions(http=HttpOptions(cors_origins=["https://app.example"]))
    async with running_service(tmp_path, options) as service, service.client() as client:
        named = await client.options("/Llama", headers=asks | {"origin": "https://app.example"})
        other = await client.options("/Llama", headers=asks | {"origin": "https://evil.example"})
        answer = await client.post("/Llama", json=QUESTION, headers={"origin": "https://app.example"})
    async with running_service(tmp_path) as service, service.client() as client:
        off = await client.post("/Llama", json=QUESTION, headers={"origin": "https://app.example"})

    assert named.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in other.headers
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in off.headers


async def test_one_log_line_per_request_without_anything_of_the_user(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    secret = {"input_data": "canary-1", "user_id": "canary-2", "db_id": "canary-3"}
    async with running_service(tmp_path) as service, service.client(headers={"traceparent": trace}) as client:
        await client.post("/Llama", json=secret, headers={"x-request-id": "order-17"})
        await client.get("/conversations/canary-3?x=canary-4", headers={"x-user-id": "canary-2"})
        await client.get("/healthz")

    lines = [JsonLines().format(record) for record in caplog.records if record.name == "chatbot.access"]
    parsed = [json.loads(line) for line in lines]
    assert [line["route"] for line in parsed] == ["/Llama", "/conversations/{db_id}"]
    assert (parsed[0]["request_id"], parsed[0]["traceparent"], parsed[0]["status"]) == ("order-17", trace, 200)
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert "canary" not in "".join(JsonLines().format(record) for record in ours)


@pytest.mark.parametrize("keyed", [True, False])
async def test_info_tells_of_the_machine_to_whoever_may_know(tmp_path: Path, keyed: bool) -> None:
    async def machine() -> Machine:
        return Machine(1.5, "container", Share(4, 1, "container"), None, ("NVIDIA H100",))

    trusting = HttpOptions(trusted_proxies=[ip_network("127.0.0.1/32")])
    file = keys_file(tmp_path, a="k1") if keyed else None
    options = ServiceOptions(keys_file=file, http=trusting, machine=machine)
    async with running_service(tmp_path, options) as service, service.client() as client:
        plain = await client.get("/info")
        elsewhere = await client.get("/info", headers={"x-forwarded-for": "203.0.113.9"})
        with_key = await client.get("/info", headers=bearer("k1") | {"x-forwarded-for": "203.0.113.9"})
        wrong = await client.get("/info", headers=bearer("nope"))

    told = {
        "cpu": {"cores": 1.5, "limited_by": "container"},
        "memory": {"limit_bytes": 4, "used_bytes": 1, "limited_by": "container"},
        "disk": None,
        "gpus": [{"name": "NVIDIA H100"}],
    }
    answers = [plain, elsewhere, with_key, wrong]
    assert [answer.status_code for answer in answers] == [200] * 4
    seen = [answer.json()["system"] for answer in answers]
    assert seen == ([None, None, told, None] if keyed else [told, None, None, told])
