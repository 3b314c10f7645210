"""A key for browsers, over a real socket: each request is its user's, whom the tenant's own server has named."""

import logging
import time
from pathlib import Path

import pytest
from chatbot.domain.access import Rights
from chatbot.server.app import HttpOptions
from chatbot.server.observe.logs import JsonLines
from parts.http_service import ServiceOptions
from parts.keyed_service import keyed_service
from parts.signer import Signer

QUESTION = {"input_data": "안녕하세요!", "db_id": "talk", "user_id": "me"}
ENGLISH = {"accept-language": "en"}


def with_user(header: dict[str, str], token: str) -> dict[str, str]:
    return {**header, "x-user-token": token}


async def test_a_browser_speaks_for_its_user_and_sees_no_other(tmp_path: Path) -> None:
    signer = Signer()
    async with keyed_service(tmp_path) as keyed, keyed.service.client(headers=ENGLISH) as client:
        key = await keyed.header(Rights(signer=signer.public))
        mine, hers = with_user(key, signer.token("me")), with_user(key, signer.token("her"))

        asked = await client.post("/Llama", json=QUESTION, headers=mine)
        as_her = await client.post("/Llama", json={**QUESTION, "user_id": "her"}, headers=mine)
        header = await client.get("/conversations", headers={**mine, "x-user-id": "her"})
        seen = [(await client.get("/conversations", headers=who)).json()["conversations"] for who in (mine, hers)]
        shown = (await client.get("/key", headers=mine)).json()

    assert asked.status_code == 200
    assert [(each.status_code, each.json()["code"]) for each in (as_her, header)] == [(403, "user_mismatch")] * 2
    assert [len(each) for each in seen] == [1, 0]
    assert (shown["user"], shown["user_from"]) == ("me", "token") and "signer" not in shown


async def test_without_a_valid_token_the_key_opens_nothing_and_says_what_is_missing(tmp_path: Path) -> None:
    signer, stranger = Signer(), Signer()
    over = signer.token(exp=int(time.time()) - 3600)
    async with keyed_service(tmp_path) as keyed, keyed.service.client(headers=ENGLISH) as client:
        key = await keyed.header(Rights(signer=signer.public))
        answers = [
            await client.request(method, path, headers=headers)
            for method, path in (("POST", "/Llama"), ("GET", "/conversations"), ("GET", "/key"))
            for headers in (
                key,
                *(with_user(key, token) for token in ("", "x", over, stranger.token(), signer.token(aud="team-b"))),
            )
        ]
        twice = [*key.items(), *(("x-user-token", signer.token(user)) for user in ("me", "her"))]
        answers.append(await client.get("/conversations", headers=twice))
        v1 = await client.get("/v1/models", headers=key)
        info = await client.get("/info", headers=key)
        wrong_key = await client.get("/key", headers=with_user({"authorization": "Bearer no"}, signer.token()))
        metrics = keyed.service.meters.render("")[0].decode()

    assert {(each.status_code, each.json()["code"]) for each in answers} == {(401, "user_token_invalid")}
    assert "X-User-Token" in answers[0].json()["detail"] and answers[0].headers["www-authenticate"] == "Bearer"
    assert (v1.status_code, v1.json()["error"]["code"]) == (401, "user_token_invalid")
    assert (info.status_code, info.json()["system"]) == (200, None)
    assert (wrong_key.status_code, wrong_key.json()["code"]) == (401, "unauthorized")
    assert f'outcome="unauthorized",service="office"}} {len(answers) + 2}.0' in metrics


async def test_a_rotated_key_keeps_its_signer_and_tokens_leave_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signer = Signer()
    token = signer.token("me", note="CANARY")
    async with keyed_service(tmp_path) as keyed, keyed.service.client() as client:
        key = await keyed.key(Rights(signer=signer.public))
        _, newer = await keyed.issuer.rotate(key.id, overlap_seconds=60, life_seconds=60)
        answer = await client.post("/Llama", json=QUESTION, headers={"x-api-key": newer.text, "x-user-token": token})
        page = keyed.service.meters.render("")[0].decode()

    assert answer.status_code == 200
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    written = page + "".join(JsonLines().format(record) + "\n" for record in ours)
    assert newer.id in written and token.rpartition(".")[2] not in written and "CANARY" not in written


async def test_browsers_may_send_the_header(tmp_path: Path) -> None:
    options = ServiceOptions(http=HttpOptions(cors_origins=("https://shop.example",)))
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        answer = await client.options(
            "/Llama", headers={**asked, "access-control-request-headers": "authorization,x-user-token"}
        )

    assert answer.status_code == 200 and "X-User-Token" in answer.headers["access-control-allow-headers"]
