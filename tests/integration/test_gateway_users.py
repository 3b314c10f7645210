"""Users whom a gateway names in a header: who is believed, what is refused, and that nobody says himself who he is."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.domain.access import GatewayTrust, Rights, Scope
from chatbot.server.app import HttpOptions
from parts.gateway_nginx import configuration, nginx_program, rules_of
from parts.helm import helm, of_kind
from parts.http_service import ServiceOptions, running_service
from parts.keyed_service import keyed_service
from parts.kube_cluster import free_ports
from parts.raw_http import request, send_raw
from parts.waiting import until

HEADER = "X-Auth-Request-User"
QUESTION = {"input_data": "안녕하세요!", "db_id": "talk", "user_id": "me"}
ENGLISH = {"accept-language": "en"}
CONFIG = {"use-forwarded-headers": "false", "worker-shutdown-timeout": "5s", "hide-headers": "Server"}
SCOPES = frozenset({Scope.CHAT, Scope.CONVERSATIONS_READ})


def trust(network: str = "127.0.0.0/8") -> GatewayTrust:
    return GatewayTrust((ip_network(network),), HEADER, "staff", SCOPES)


def behind(network: str = "127.0.0.0/8", **options: Any) -> ServiceOptions:
    return ServiceOptions(keys=KeyCheck().behind(trust(network)), **options)


def named(*users: str) -> list[tuple[str, str]]:
    return [*ENGLISH.items(), *((HEADER, user) for user in users)]


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "") if answer.status_code >= 400 else ""


async def test_the_user_whom_the_gateway_names_needs_no_key_and_is_nobody_else(tmp_path: Path) -> None:
    async with running_service(tmp_path, behind()) as service, service.client() as client:
        asked = await client.post("/Llama", json=QUESTION, headers=named("me"))
        as_her = await client.post("/Llama", json={**QUESTION, "user_id": "her"}, headers=named("me"))
        header = await client.get("/conversations", headers=[*named("me"), ("x-user-id", "her")])
        chat = await client.post("/chat", json={"message": "안녕", "user_id": "her"}, headers=named("me"))
        seen = [(await client.get("/conversations", headers=named(who))).json() for who in ("me", "her")]
        beyond = await client.delete("/conversations/talk", headers=named("me"))
        shown = (await client.get("/key", headers=named("me"))).json()

    assert told(asked) == (200, "")
    assert [told(each) for each in (as_her, header, chat)] == [(403, "user_mismatch")] * 3
    assert [len(each["conversations"]) for each in seen] == [1, 0]
    assert told(beyond) == (403, "scope_missing")
    assert (shown["id"], shown["tenant"], shown["user"], shown["user_from"]) == ("gateway", "staff", "me", "gateway")
    assert shown["scopes"] == sorted(map(str, SCOPES))


async def test_without_a_name_or_a_key_nobody_passes_and_what_is_open_stays_so(tmp_path: Path) -> None:
    nearly = [("X_Auth_Request_User", "me"), ("X-Auth-Request-Email", "me"), ("X-Forwarded-User", "me")]
    async with running_service(tmp_path, behind()) as service, service.client() as client:
        answers = [await client.post("/Llama", json=QUESTION, headers=[one]) for one in (*nearly, ("x-user-id", "me"))]
        answers.append(await client.get("/conversations", headers={"x-user-id": "me"}))
        wrong_key = await client.post("/Llama", json=QUESTION, headers=[*named("me"), ("authorization", "Bearer no")])
        ready, info = await client.get("/readyz"), await client.get("/info")

    assert {told(each) for each in (*answers, wrong_key)} == {(401, "unauthorized")}
    assert (ready.status_code, info.status_code, info.json()["keys"]) == (200, 200, True)


async def test_a_peer_that_is_not_the_gateway_is_not_believed_whatever_address_it_tells(tmp_path: Path) -> None:
    forwarded = [("x-forwarded-for", "192.0.2.9"), ("x-real-ip", "192.0.2.9"), ("forwarded", "for=192.0.2.9")]
    options = behind("192.0.2.0/24", http=HttpOptions(trusted_proxies=[ip_network("127.0.0.0/8")]))
    async with running_service(tmp_path, options) as service, service.client() as client:
        answers = [
            await client.post("/Llama", json=QUESTION, headers=[*named(*users), *forwarded])
            for users in (("me",), ("me", "her"), ("",), ("x" * 10_000,))
        ]

    assert {told(each) for each in answers} == {(401, "unauthorized")}


WRONG = {
    "two": ["me", "her"],
    "the same twice": ["me", "me"],
    "a list in one": ["me, her"],
    "nothing": [""],
    "one too long": ["x" * 129],
    "10 KB": ["x" * 10_000],
    "beyond ASCII": ["나"],
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_header_that_names_no_user_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    headers = [(HEADER.encode(), user.encode()) for user in WRONG[name]]
    async with keyed_service(tmp_path, gateway=trust()) as keyed, keyed.service.client(headers=ENGLISH) as client:
        key = [(name.encode(), value.encode()) for name, value in (await keyed.header()).items()]
        answers = [await client.post("/Llama", json=QUESTION, headers=[*headers, *more]) for more in ([], key)]
        v1 = await client.get("/v1/models", headers=headers)

    assert {told(each) for each in answers} == {(401, "gateway_user_invalid")}
    assert HEADER in answers[0].json()["detail"] and answers[0].headers["www-authenticate"] == "Bearer"
    assert v1.json()["error"]["code"] == "gateway_user_invalid"


async def test_bytes_that_no_client_library_sends_are_refused(tmp_path: Path) -> None:
    values = [b"  ", b"m\te", b"m\0e", b"m\x01e", b"m\x7fe", b"m\xffe", b"m\r\n e", b"m\x85e"]
    raw = request("GET", "/conversations", headers={HEADER: "m@e"})
    async with running_service(tmp_path, behind()) as service:
        answers = [await send_raw(service.port, raw.replace(b"m@e", value)) for value in values]
        fine = await send_raw(service.port, raw)

    assert {answer.status for answer in answers} <= {400, 401}
    assert fine.status == 200


async def test_beside_a_key_the_gateway_says_who_the_user_is_and_the_key_what_he_may(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, gateway=trust()) as keyed, keyed.service.client() as client:
        free, fixed = await keyed.header(), await keyed.header(Rights(user="me"))
        mine = await client.post("/Llama", json=QUESTION, headers=[*free.items(), *named("me")])
        as_her = await client.post("/Llama", json={**QUESTION, "user_id": "her"}, headers=[*free.items(), *named("me")])
        another = await client.get("/conversations", headers=[*fixed.items(), *named("her")])
        same = await client.get("/conversations", headers=[*fixed.items(), *named("me")])
        alone = await client.post("/Llama", json={**QUESTION, "user_id": "her"}, headers=free)
        shown = (await client.get("/key", headers=[*free.items(), *named("me")])).json()

    assert told(mine) == told(same) == told(alone) == (200, "")
    assert told(as_her) == told(another) == (403, "user_mismatch")
    assert (shown["tenant"], shown["user"]) == ("team-a", "me")


class Login(BaseHTTPRequestHandler):
    """Knows callers by a cookie, as oauth2-proxy does; `guest` is let in and has no name."""

    def do_GET(self) -> None:
        user = (self.headers.get("Cookie") or "").removeprefix("session=")
        self.send_response(202 if user else 401)
        if user and user != "guest":
            self.send_header(HEADER, user)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def login() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Login) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/oauth2/auth"
        finally:
            server.shutdown()
            thread.join()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@asynccontextmanager
async def nginx(folder: Path, login_url: str, service_port: int) -> AsyncIterator[str]:
    """The chart's Ingress as ingress-nginx writes it, in front of one service; the address of office there."""
    sets = ["mongodb.trial.enabled=true", 'auth.gateway.peers=["127.0.0.0/8"]', f"auth.gateway.url={login_url}"]
    rules = rules_of(of_kind(helm().render("chatbot", sets=sets), "Ingress"), "nginx")
    office = next(rule.service for rule in rules if rule.path.startswith("/office"))
    (port,) = free_ports(1)
    conf = folder / "nginx.conf"
    conf.write_text(configuration(rules, {office: [f"127.0.0.1:{service_port}"]}, CONFIG, (port, folder)))
    command = [nginx_program(), "-p", str(folder), "-c", str(conf), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command)  # noqa: ASYNC220 - it returns at once
    try:
        await until(lambda: listens(port))
        yield f"http://127.0.0.1:{port}/office"
    finally:
        process.terminate()
        process.wait(30)


async def test_through_the_charts_ingress_the_login_says_who_a_caller_is_and_no_caller_does(tmp_path: Path) -> None:
    async with running_service(tmp_path, behind()) as service:
        with login() as login_url:
            async with (
                nginx(tmp_path, login_url, service.port) as office,
                httpx.AsyncClient(trust_env=False, timeout=30) as client,
            ):

                async def get(*headers: tuple[str, str]) -> httpx.Response:
                    return await client.get(f"{office}/key", headers=headers)

                forged = [(HEADER, "her"), (HEADER, "her"), (HEADER.lower(), "her"), ("X_Auth_Request_User", "her")]
                mine = [(await get(("cookie", "session=me"), *forged[:many])).json() for many in range(5)]
                guest = await get(("cookie", "session=guest"), (HEADER, "her"))
                stranger = await get((HEADER, "her"))

    assert [shown["user"] for shown in mine] == ["me"] * 5
    assert (told(guest), stranger.status_code) == ((401, "unauthorized"), 401)
