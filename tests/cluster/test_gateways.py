"""Both gateway renderings of the chart and the laptop's gateway, driven from outside; one contract for all.

Where a gateway differs, what it does is asserted as well, and is a cell of docs/gateways.md.
"""

import asyncio
import contextlib
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from parts.gateway_columns import NAMES, READ_TIMEOUT_SECONDS, Column, Columns, Way, running_columns
from parts.gateway_matrix import PAGE, Matrix
from parts.gateway_services import PIECES, Seen
from parts.kube_client import Kube
from parts.kube_cluster import free_ports
from parts.leaving_client import LeavingClient
from parts.raw_http import RawAnswer, request, send_raw
from parts.sse import events
from parts.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
Cell = Callable[[str, object], None]

STREAM = {"accept": "text/event-stream"}
LONG_SECONDS = 60.0
"""For what comes at once, on a busy machine."""
ANSWER = "".join(PIECES)
V1 = "/office/v1/chat/completions"
USERS = 24
"""As many as one of two pods gets all of once in 2^23 runs."""


def asking(text: str = "안녕하세요!", **fields: object) -> dict[str, object]:
    return {"input_data": text, "user_id": "test_user", **fields}


def playing(text: str = "안녕하세요!") -> dict[str, object]:
    return asking(text, character_name="Mina", greeting="안녕!", context="친구")


@pytest.fixture(scope="module")
def matrix() -> Any:
    """Written to docs/gateways.md at the end where that is wished for."""
    made = Matrix()
    yield made
    if "CHATBOT_TEST_GATEWAYS_PAGE" in os.environ:
        PAGE.write_text(made.page())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def columns(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Columns]:
    async with running_columns(kube, tmp_path_factory.mktemp("gateways")) as running:
        yield running


@pytest.fixture(params=NAMES)
def column(columns: Columns, request: pytest.FixtureRequest) -> Column:
    return columns.columns[request.param]


@pytest.fixture
def way(column: Column) -> Way:
    return column.main


@pytest.fixture
def cell(column: Column, matrix: Matrix, figures: Callable[..., None]) -> Cell:
    """`cell(check, observed)`: one cell of the matrix."""

    def note(check: str, observed: object) -> None:
        matrix.note(column.name, check, str(observed))
        figures(gateway=column.name, check=check, observed=observed)

    return note


async def get(way: Way, target: str, **headers: str) -> tuple[RawAnswer, list[Seen]]:
    """A request that no library has tidied; what came back, and what arrived behind the gateway."""
    before = len(way.behind.seen)
    raw = request("GET", target, headers={"content-type": "-", "content-length": "-", **headers}, host=way.host)
    answer = await send_raw(way.port, raw, seconds=LONG_SECONDS)
    return answer, way.behind.seen[before:]


async def test_the_controller_accepts_the_route(columns: Columns, matrix: Matrix) -> None:
    conditions = columns.route_conditions()

    assert conditions == {"Accepted": "True", "ResolvedRefs": "True"}
    for name in NAMES:
        matrix.note(name, "accepted", ", ".join(conditions) if name.startswith("http") else "-")


@contextlib.asynccontextmanager
async def connected(way: Way) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, cut at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    try:
        async with asyncio.timeout(LONG_SECONDS):
            yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("target", "service", "status"),
    [
        ("/office/healthz", "office", 200),
        ("/character/healthz", "character", 200),
        ("/office/healthz?a=b%2fc", "office", 200),
        ("/office", "office", 404),
        ("/office/", "office", 404),
        ("/office/nothing", "office", 404),
        ("/office/office/healthz", "office", 404),
        ("/office/character/healthz", "office", 404),
        ("/office/conversations/a%20b", "office", 403),
        ("/", "not-found", 404),
        ("/officer/healthz", "not-found", 404),
        ("/x/office/healthz", "not-found", 404),
        ("/healthz", "not-found", 200),
        ("/docs", "not-found", 404),
    ],
)
async def test_a_path_goes_to_its_service(way: Way, cell: Cell, target: str, service: str, status: int) -> None:
    answer, seen = await get(way, target, **{"x-user-id": "test_user"})

    if way.believed is None:  # the laptop's callers are on the same machine, and its 404 needs no probe
        status = {"/office/conversations/a%20b": 422, "/healthz": 404}.get(target, status)
    assert (answer.status, [each.service for each in seen]) == (status, [service])
    cell("routes", "yes")


METRICS = ("/metrics", "/model", "/office/metrics", "/office/model", "/character/metrics")


async def test_metrics_are_not_reached(way: Way, cell: Cell) -> None:
    assert [(await get(way, target))[0].status for target in METRICS] == [404] * len(METRICS)
    cell("metrics", "404")


SUBTLE = {
    "case": "/Office/healthz",
    "double slash first": "//office/healthz",
    "double slash": "/office//healthz",
    "encoded slash": "/office%2fhealthz",
    "dots": "/office/../character/healthz",
    "encoded dots": "/office/%2e%2e/character/healthz",
}


@pytest.mark.parametrize("check", SUBTLE)
async def test_a_strange_path_reaches_nothing_new(way: Way, cell: Cell, check: str) -> None:
    answer, seen = await get(way, SUBTLE[check])

    assert len(seen) <= 1 and answer.status in (200, 400, 404)
    where = seen[0].service if seen else "nobody"
    cell(check, f"{answer.status} by {where}")


async def test_docs_work_under_the_prefix(way: Way, cell: Cell) -> None:
    async with way.client() as client:
        page = await client.get("/office/docs")
        linked = re.findall(r'(?:href|src|url)\W{1,4}((?:https?:/)?/[^"\']+)', page.text)
        files = {path: (await client.get(path)).status_code for path in linked}
        described = (await client.get("/office/openapi.json")).json()

    assert page.status_code == 200
    assert len(files) == 4 and set(files.values()) == {200}, files
    assert all(path.startswith("/office/") for path in files)
    assert described["servers"] == [{"url": "/office"}]
    cell("docs", "yes")


FORGED = {
    "x-forwarded-for": "203.0.113.9",
    "x-real-ip": "203.0.113.9",
    "forwarded": "for=203.0.113.9;host=evil.test;proto=https",
    "x-forwarded-host": "evil.test",
    "x-forwarded-proto": "https",
    "x-forwarded-prefix": "/evil",
    "x-original-url": "/character/healthz",
    "x-rewrite-url": "/character/healthz",
}
EXCHANGE = {"model": "stub", "messages": [{"role": "user", "content": "안녕하세요!"}]}


async def believed(way: Way, address: str, **headers: str) -> str:
    """Who asks, as the service believes."""
    async with way.client(address, **headers) as client:
        answer = await client.post(V1, json=EXCHANGE)
    assert answer.status_code == 200, answer.text
    return way.behind.addresses[-1]


async def test_a_forged_address_is_not_believed(column: Column, cell: Cell) -> None:
    address = "127.0.0.7"
    for check, way in (("forged", column.main), ("forged, trusted", column.second)):
        known = await believed(way, address, **FORGED)
        assert known == (way.believed or address)
        cell(check, "the gateway's address" if way.believed else "the caller's address")


async def test_forged_headers_change_no_answer(way: Way) -> None:
    async with way.client() as plain, way.client(**FORGED) as forging:
        for path in ("/office/docs", "/office/openapi.json", "/office/info", "/office/nothing"):
            honest, forged = await plain.get(path), await forging.get(path)
            for name in ("x-request-id", "date"):
                honest.headers.pop(name, None), forged.headers.pop(name, None)
            assert (honest.status_code, honest.headers) == (forged.status_code, forged.headers)
            assert re.sub(r"[0-9a-f]{32}", "", honest.text) == re.sub(r"[0-9a-f]{32}", "", forged.text)
            assert "evil" not in forged.text


async def test_an_event_is_there_before_the_next_is_made(way: Way, cell: Cell) -> None:
    made = way.behind.stub
    async with (
        asyncio.timeout(LONG_SECONDS),
        way.client(**STREAM) as client,
        client.stream("POST", "/office/Llama", json=asking("hold")) as answer,
    ):
        texts = []
        async for name, data in events(answer):
            if name == "token":
                texts.append(data["text"])
                if len(texts) == 1:  # the stub says nothing more until the client has this
                    assert len(made.running) == 1
                    made.release()

    assert "".join(texts) == ANSWER
    assert answer.headers["content-type"].startswith("text/event-stream")
    cell("unbuffered", "yes")


@pytest.mark.scale
async def test_a_stream_with_silences_arrives_whole(
    columns: Columns, matrix: Matrix, figures: Callable[..., None], scale: Callable[[int, int], int]
) -> None:
    silence_seconds, times = scale(3, 55), scale(2, 4)

    async def listen(way: Way) -> tuple[str, bool]:
        async with (
            way.client(**STREAM) as client,
            client.stream("POST", "/office/Llama", json=asking(f"pause {silence_seconds} {times}"), timeout=180) as got,
        ):
            heard = [(name, data) async for name, data in events(got)]
        return "".join(data["text"] for name, data in heard if name == "token"), heard[-1][0] == "done"

    started = time.monotonic()
    heard = await asyncio.gather(*(listen(each.main) for each in columns.columns.values()))

    assert set(heard) == {(PIECES[0] + "." * times + "".join(PIECES[1:]), True)}
    seconds = round(time.monotonic() - started)
    figures(gateways=len(heard), stream_seconds=seconds, silence_seconds=silence_seconds)
    for name in columns.columns:
        matrix.note(name, "silence", f"{seconds} s, {times} silences of {silence_seconds} s: whole")


async def test_a_client_that_leaves_a_stream_is_seen(way: Way, cell: Cell) -> None:
    cell("leaving", f"{await left(way, 'hold', 'text/event-stream'):.1f} ms")


async def test_a_client_that_leaves_before_the_first_byte_is_seen(way: Way, cell: Cell) -> None:
    cell("leaving early", f"{await left(way, 'quiet', 'application/json'):.1f} ms")


async def left(way: Way, wish: str, accept: str) -> float:
    """Leave, and wait until the service has stopped; milliseconds."""
    stub = way.behind.stub
    client = LeavingClient(way.port, "/office/Llama", asking(wish), accept)
    await client.ask()
    if accept == STREAM["accept"]:
        got = b""
        while b"event: token" not in got:
            got += await client.read_some()
    await until(lambda: len(stub.running) == 1, LONG_SECONDS)
    (request_id,) = stub.running
    left_at = time.monotonic()
    client.leave(reset=False)
    await until(lambda: not stub.running, LONG_SECONDS)
    return (stub.stopped[request_id] - left_at) * 1000


@pytest.mark.parametrize(
    ("language", "said"), [("ko", "아무것도 없습니다"), ("en", "nowhere"), ("ja", "何もありません")]
)
async def test_an_unknown_path_is_a_page_or_json(way: Way, cell: Cell, language: str, said: str) -> None:
    async with way.client(**{"accept-language": language}) as client:
        page = await client.get("/nothing", headers={"accept": "text/html"})
        told = await client.get("/nothing", headers={"accept": "application/json"})

    assert (page.status_code, told.status_code) == (404, 404)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-language"] == told.headers["content-language"] == language
    assert page.text.startswith("<!doctype html>") and said in page.text
    assert told.headers["content-type"] == "application/problem+json"
    assert "POST /office/Llama" in told.json()["endpoints"] and said in told.json()["detail"]
    cell("not found", "yes")


async def test_a_large_body_is_refused(way: Way, cell: Cell) -> None:
    """At once, by its announced length; who goes on sending may see a reset instead of the answer."""
    body = padded(10_000_000)
    raw = request("POST", V1, body, host=way.host)
    async with connected(way) as (reader, writer):
        writer.write(raw[: -len(body)])
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
    async with way.client(**{"content-type": "application/json"}) as client:
        try:
            whole = str((await client.post(V1, content=body)).status_code)
        except (httpx.ReadError, httpx.WriteError):
            whole = "reset"

    assert head.split()[1] == b"413"
    assert whole in ("413", "reset")
    by = "service" if b"\nx-backend:" in head else "gateway"
    cell("large body", f"413 by the {by}" + (", then a reset" if whole == "reset" else ""))


async def test_an_allowed_body_is_not_refused(way: Way, cell: Cell) -> None:
    async with way.client(**{"content-type": "application/json"}) as client:
        file = await client.post("/office/documents", content=padded(8 * 2**20))
        passed = await client.post(V1, content=padded(4 * 2**20))
        refused = await client.post("/office/Llama", content=json.dumps(asking(x="x" * 200_000)))

    assert passed.status_code == 200, passed.text
    assert "x-backend" in file.headers, "files may be larger; the service itself says whether it takes any"
    cell("allowed body", "200")
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    cell("service limit", "413, JSON")


def padded(size_bytes: int) -> bytes:
    """A valid request of exactly so many bytes."""
    empty = json.dumps({**EXCHANGE, "padding": ""})
    return json.dumps({**EXCHANGE, "padding": "x" * (size_bytes - len(empty.encode()))}).encode()


async def test_a_refusal_keeps_its_retry_after_and_body(way: Way, cell: Cell) -> None:
    stub = way.behind.narrow_stub
    async with way.client() as client:
        holding = asyncio.create_task(client.post("/character/Llama", json=playing("quiet")))
        await until(lambda: stub.running, LONG_SECONDS)
        through = await client.post("/character/Llama", json=playing())
        stub.release()
        answer = await holding

    told = through.json()
    assert through.status_code == 429
    assert through.headers["content-type"] == "application/problem+json"
    assert through.headers["retry-after"] == str(told["retry_after"])
    assert (told["code"], told["queue_size"]) == ("queue_full", 0)
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    cell("429", "yes")


async def test_a_request_id_goes_there_and_back(way: Way, cell: Cell) -> None:
    async with way.client() as client:
        given = await client.get("/office/nothing", headers={"x-request-id": "my-id.1", "accept": "application/json"})
        arrived = way.behind.seen[-1].headers.get("x-request-id")
        made = await client.get("/office/nothing", headers={"accept": "application/json"})

    assert (given.headers["x-request-id"], given.json()["request_id"], arrived) == ("my-id.1",) * 3
    assert re.fullmatch(r"[0-9a-f]{32}", made.headers["x-request-id"])
    cell("request id", "yes")


@pytest.mark.parametrize(
    ("method", "path"),
    [("HEAD", "/healthz"), ("HEAD", "/docs"), ("OPTIONS", "/Llama"), ("GET", "/Llama"), ("DELETE", "/info")],
)
async def test_other_methods_are_the_services_affair(way: Way, cell: Cell, method: str, path: str) -> None:
    async with way.client() as through:
        seen = await through.request(method, f"/office{path}")
    expected = await direct_answer(way, method, path)

    assert (seen.status_code, seen.headers.get("allow")) == expected
    assert method != "HEAD" or seen.content == b""
    cell("methods", "yes")


async def direct_answer(way: Way, method: str, path: str) -> tuple[int, str | None]:
    """The same without a gateway."""
    app = httpx.ASGITransport(way.behind.office.app)
    async with httpx.AsyncClient(transport=app, base_url="http://test") as direct:
        answer = await direct.request(method, path)
    return answer.status_code, answer.headers.get("allow")


async def test_a_websocket_is_refused_cleanly(way: Way, cell: Cell) -> None:
    handshake = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }
    raw = request("GET", "/office/Llama", headers={"content-type": "-", **handshake}, host=way.host)

    async with connected(way) as (reader, writer):
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")

    status = int(head.split()[1])
    assert 400 <= status < 500
    cell("websocket", status)


async def test_nothing_tells_what_serves(way: Way, cell: Cell) -> None:
    async with way.client() as client:
        answers = [await client.get(path) for path in ("/office/info", "/office/nothing", "/nothing")]

    told = {name for answer in answers for name in answer.headers} & {"server", "x-powered-by", "via"}
    assert told == set()
    cell("server", "none")


async def test_the_openai_client_streams(way: Way, cell: Cell) -> None:
    async with (
        way.client() as http,
        openai.AsyncOpenAI(base_url=f"{way.url}/office/v1", api_key="none", http_client=http, max_retries=0) as client,
    ):
        models = await client.models.list()
        stream = await client.chat.completions.create(
            model=models.data[0].id, messages=[{"role": "user", "content": "안녕하세요!"}], stream=True
        )
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(said) == ANSWER
    cell("openai", "yes")


def is_limited(column: Column) -> bool:
    """Whether the gateway has a limit between two bytes; an HTTPRoute and the laptop have none."""
    return column.name.startswith("ingress")


async def test_a_late_answer_ends_with_the_read_timeout_and_is_asked_for_once(column: Column, cell: Cell) -> None:
    way, stub = column.second, column.second.behind.stub
    asked = stub.asked
    async with way.client() as client:
        started = time.monotonic()
        waiting = asyncio.create_task(client.post("/office/Llama", json=asking("quiet")))
        if not is_limited(column):
            await asyncio.wait({waiting}, timeout=READ_TIMEOUT_SECONDS * 2)
            assert not waiting.done()
            stub.release()
        answer = await waiting

    assert answer.status_code == (504 if is_limited(column) else 200)
    assert stub.asked - asked == 1, "a question that is asked twice is answered, and paid for, twice"
    await until(lambda: not stub.running, LONG_SECONDS)
    cell("read timeout", f"504 after {time.monotonic() - started:.1f} s" if is_limited(column) else "no such limit")


async def test_a_stream_that_is_cut_never_looks_complete(column: Column, cell: Cell) -> None:
    way, heard = column.second, []
    async with (
        way.client(**STREAM) as client,
        client.stream("POST", "/office/Llama", json=asking(f"pause {READ_TIMEOUT_SECONDS * 2} 1")) as answer,
    ):
        with contextlib.suppress(httpx.RemoteProtocolError):
            heard += [name async for name, _ in events(answer)]

    assert answer.status_code == 200
    assert (heard[-1:] == ["done"]) != is_limited(column), heard
    cell("cut stream", "cut, without `done`" if is_limited(column) else "whole")


@pytest.mark.scale
async def test_the_routes_own_timeout(
    columns: Columns, matrix: Matrix, figures: Callable[..., None], scale: Callable[[int, int], int]
) -> None:
    """32 s in the second install. Traefik does not claim to know it, and does not."""
    seconds = scale(0, 40)
    way = columns.columns["httproute-traefik"].second
    async with way.client() as client:
        answer = await client.post("/office/Llama", json=asking(f"pause {seconds} 1"), timeout=180)

    assert "HTTPRouteRequestTimeout" not in columns.features
    assert answer.status_code == 200
    figures(features=len(columns.features), seconds=seconds)
    for name in NAMES:
        matrix.note(name, "route timeout", "ignored, as its GatewayClass says" if name.startswith("http") else "-")


async def test_a_service_without_pods_is_said_to_be_unavailable(
    columns: Columns, matrix: Matrix, figures: Callable[..., None]
) -> None:
    (nobody,) = free_ports(1)
    own = columns.columns["ingress-nginx"].second.behind.ports["office"]
    try:
        for check, port, status in (("no pod", None, 503), ("dead pod", nobody, 502)):
            columns.move("office", port)
            for column in columns.columns.values():
                observed = "-"
                if column.is_on_kubernetes:
                    await until_status(column.second, status)
                    observed = str(status)
                matrix.note(column.name, check, observed)
                figures(gateway=column.name, check=check, observed=observed)
    finally:
        columns.move("office", own)
    for column in columns.columns.values():
        await until_status(column.second, 200)


async def test_a_user_stays_with_one_pod(columns: Columns, matrix: Matrix, figures: Callable[..., None]) -> None:
    """nginx only: Traefik takes pods of one address for one pod, and those of the tests have but one address."""
    way = columns.columns["ingress-nginx"].second
    with columns.twin():
        assert await are_users_kept(way, set(way.behind.ports.values()))
    figures(users=USERS)
    for name in NAMES:
        matrix.note(name, "affinity", {"ingress-nginx": "yes", "laptop": "-"}.get(name, "not tried"))


async def test_a_late_question_is_not_sent_to_another_pod_as_well(columns: Columns) -> None:
    """nginx asks the next pod after a timeout, but not with a POST."""
    way = columns.columns["ingress-nginx"].second
    with columns.twin():
        await are_users_kept(way, set(way.behind.ports.values()))
        asked = way.behind.stub.asked
        async with way.client() as client:
            answer = await client.post("/office/Llama", json=asking("quiet"))
        await until(lambda: not way.behind.stub.running, LONG_SECONDS)

    assert answer.status_code == 504
    assert way.behind.stub.asked - asked == 1


async def are_users_kept(way: Way, ports: set[int]) -> bool:
    """Ask often as many users, once both pods are asked."""

    async def pod_of(number: int) -> int:
        await client.get("/office/info", headers={"x-user-id": f"user-{number}"})
        return way.behind.seen[-1].port

    async with asyncio.timeout(LONG_SECONDS), way.client() as client:
        while len({await pod_of(number) for number in range(USERS)}) < 2:  # noqa: ASYNC110 - gateways tell nobody
            await asyncio.sleep(0.05)
        seen = [{await pod_of(number) for _ in range(3)} for number in range(USERS)]
    assert len(set.union(*seen)) == 2 and set.union(*seen) <= ports
    return all(len(pods) == 1 for pods in seen)


async def until_status(way: Way, status: int) -> None:
    """Wait until office's probe answers so."""
    seen = 0
    async with asyncio.timeout(LONG_SECONDS), way.client() as client:
        while seen != status:
            seen = (await client.get("/office/healthz")).status_code
            await asyncio.sleep(0.05)


async def test_a_body_may_wait_to_be_asked_for(way: Way, cell: Cell) -> None:
    """curl does so with bodies of more than 1 MiB (RFC 9110, 10.1.1)."""
    body = padded(2 * 2**20)
    raw = request("POST", V1, body, {"expect": "100-continue"}, host=way.host)
    head, rest = raw[: -len(body)], raw[-len(body) :]
    async with connected(way) as (reader, writer):
        writer.write(head)
        interim = await reader.readuntil(b"\r\n\r\n")
        writer.write(rest)
        await writer.drain()
        final = await reader.readuntil(b"\r\n\r\n")

    assert (interim.split()[1], final.split()[1]) == (b"100", b"200")
    cell("expect", "100, then 200")
