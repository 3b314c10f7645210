"""An issuer's keys over HTTP: fetched rarely, bounded, and what holds while the issuer is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chatbot.adapters.keys import issuer_keys
from chatbot.adapters.keys.issuer_keys import FetchedIssuerKeys
from chatbot.adapters.keys.tokens import IssuerTokens, TokenRules
from chatbot.core.accounts.key_check import KeyCheck, Tokens
from chatbot.domain.errors import KeysUnavailable, Unauthorized
from parts.http_service import ServiceOptions, running_service
from parts.issuer import AUDIENCE, ISSUER, Issuer


class Place:
    """A server of one document, which says what a test wants."""

    def __init__(self) -> None:
        self.status, self.body, self.fetched, self.url = "200 OK", b"", 0, ""
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.fetched += 1
            await self.may_answer.wait()
            writer.write(
                f"HTTP/1.1 {self.status}\r\nconnection: close\r\nlocation: {self.url}\r\n\r\n".encode() + self.body
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def placed(body: str) -> AsyncIterator[Place]:
    place = Place()
    place.body = body.encode()
    server = await asyncio.start_server(place.serve, "127.0.0.1", 0)
    place.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    async with server:
        yield place
        place.may_answer.set()


class Hand:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_one_fetch_serves_all_who_come_at_once_and_for_ten_minutes() -> None:
    issuer, clock = Issuer(), Hand()
    async with placed(issuer.key_set()) as place:
        keys = FetchedIssuerKeys(place.url, clock=clock)
        found = await asyncio.gather(*(keys.find("ES256-1") for _ in range(50)))
        clock.seconds = issuer_keys.FRESH_SECONDS
        await keys.find("ES256-1")
        first = place.fetched
        clock.seconds += 1
        await keys.find("ES256-1")

    assert None not in found and (first, place.fetched) == (1, 2)


async def test_invented_key_ids_cost_one_fetch_a_minute() -> None:
    clock = Hand()
    async with placed(Issuer().key_set()) as place:
        keys = FetchedIssuerKeys(place.url, clock=clock)
        for minute in range(3):
            clock.seconds = minute * issuer_keys.FETCH_EVERY_SECONDS
            assert set(await asyncio.gather(*(keys.find(f"k{number}") for number in range(200)))) == {None}

    assert place.fetched == 3


async def test_new_keys_of_the_issuer_are_found_by_their_first_token() -> None:
    clock, newer = Hand(), Issuer(2)
    async with placed(Issuer().key_set()) as place:
        keys = FetchedIssuerKeys(place.url, clock=clock)
        assert await keys.find("RS256-1") is not None
        place.body = newer.key_set().encode()
        clock.seconds = issuer_keys.FETCH_EVERY_SECONDS

        assert await keys.find("RS256-2") is not None
        assert await keys.find("RS256-1") is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("503 Service Unavailable", b"{}"),
        ("302 Found", b""),
        ("200 OK", b"<html>CANARY"),
        ("200 OK", b"\xff\xfe"),
        ("200 OK", b" " * (issuer_keys.MAX_BYTES + 1)),
    ],
    ids=["error", "redirect", "page", "no utf-8", "endless"],
)
async def test_an_issuer_in_trouble_is_told_and_its_old_keys_hold_for_an_hour(
    status: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    issuer, clock = Issuer(), Hand()
    async with placed(issuer.key_set()) as place:
        keys = FetchedIssuerKeys(place.url, clock=clock)
        assert await keys.find("ES256-1") is not None
        place.status, place.body = status, body
        clock.seconds = issuer_keys.TRUST_SECONDS
        assert await keys.find("ES256-1") is not None
        clock.seconds += 1
        with pytest.raises(KeysUnavailable):
            await keys.find("ES256-1")
        never = FetchedIssuerKeys(place.url, clock=clock)
        with pytest.raises(KeysUnavailable):
            await never.find("ES256-1")

    assert "CHATBOT_AUTH_JWT_JWKS_URL" in caplog.text and "CANARY" not in caplog.text
    assert place.fetched == 3  # a redirect was not followed


async def test_an_issuer_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_keys, "FETCH_SECONDS", 0.1)
    async with placed("") as place:
        place.may_answer.clear()
        with pytest.raises(KeysUnavailable):
            await FetchedIssuerKeys(place.url, clock=Hand()).find("ES256-1")


async def test_a_user_of_the_issuer_chats_and_sees_his_own_conversations(tmp_path: Path) -> None:
    issuer = Issuer()
    async with placed(issuer.key_set()) as place:
        check = KeyCheck(tokens=Tokens(IssuerTokens(TokenRules(ISSUER, AUDIENCE), FetchedIssuerKeys(place.url))))
        async with running_service(tmp_path, ServiceOptions(keys=check)) as service, service.client() as client:
            header = {"authorization": f"Bearer {issuer.token(scope='chat conversations:read')}"}
            ask = {"input_data": "안녕하세요!", "user_id": "user-1", "db_id": "d"}
            said = await client.post("/Llama", json=ask, headers=header)
            other = await client.post("/Llama", json=ask | {"user_id": "user-2"}, headers=header)
            listed = await client.get("/conversations", headers=header)
            erased = await client.delete("/conversations/d", headers=header)
            shown = await client.get("/key", headers=header)
            forged = await client.get("/key", headers={"authorization": f"Bearer {Issuer().token()}"})

    assert [one.status_code for one in (said, other, listed, erased, shown, forged)] == [200, 403, 200, 403, 200, 401]
    assert [line["db_id"] for line in listed.json()["conversations"]] == ["d"]
    assert (shown.json()["tenant"], shown.json()["user"], shown.json()["id"]) == ("team-a", "user-1", "jwt")


async def test_tokens_are_nothing_where_no_issuer_is_set() -> None:
    with pytest.raises(Unauthorized):
        await KeyCheck(mounted=_NoKeys()).principal(Issuer().token())  # type: ignore[arg-type]


class _NoKeys:
    def find(self, presented: str, key: object) -> None:
        return None
