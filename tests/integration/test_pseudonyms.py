"""Where a user's own name stands, and where only what stands for it."""

import json
import logging
from pathlib import Path

import pytest
from chatbot.adapters.limits.sqlite import SqliteAccounts
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.privacy.pseudonym import Pseudonyms
from chatbot.domain.limits import Limits
from chatbot.domain.tenants.policy import Policies, Tenant, TenantLimits
from chatbot.llm.openai.generator import OpenAIGenerator, OpenAIOptions
from chatbot.server.observe.logs import JsonLines
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.stores import open_keys, open_pseudonyms
from parts.http_service import ServiceOptions, running_service
from parts.openai_stub import openai_stub, status, well

USER = "김철수-canary@example.com"
ASKED = {"input_data": "안녕하세요?", "user_id": USER}
LIMITED = Policies([Tenant(name="default", limits=TenantLimits(per_user=Limits(requests_per_minute=1000)))])


def written(folder: Path, name: str) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob(f"{name}*"))


async def test_a_name_stands_in_the_conversation_and_nowhere_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pseudonyms = Pseudonyms.kept_in(tmp_path / "secret")
    ours = pseudonyms.of("", USER)
    async with openai_stub() as stub:
        remote = OpenAIGenerator(OpenAIOptions(stub.base_url, "gpt-stub", user_field="safety_identifier"))
        options = ServiceOptions(
            remote=remote,  # type: ignore[arg-type]
            keys=KeyCheck().naming(pseudonyms),
            accounts=SqliteAccounts(tmp_path / "limits.sqlite3"),
            usage=SqliteUsage(tmp_path / "usage.sqlite3"),
            tenants=LIMITED,
        )
        async with running_service(tmp_path, options) as service, service.client() as client:
            v1 = {"model": "gpt-stub", "user": USER, "messages": [{"role": "user", "content": "안녕"}]}
            answers = [
                await client.post("/Llama", json=ASKED | {"db_id": "c"}),
                await client.post("/OpenAI", json=ASKED | {"db_id": "c"}),
                await client.post("/v1/chat/completions", json=v1),
                await client.post(
                    "/chat", json={"message": "안녕", "user_id": USER, "session_id": "s", "model": "openai"}
                ),
                await client.get("/conversations", headers={"x-user-id": USER.encode()}),
                await client.get("/usage?group_by=user"),
                await client.get("/key"),
            ]
            assert [one.status_code for one in answers] == [200] * 7
            told = service.meters.render("")[0]
        await remote.close()

    sent = json.dumps([call.body for call in stub.calls], ensure_ascii=False)
    assert [call.body["safety_identifier"] for call in stub.calls] == [ours] * 3 and USER not in sent
    logged = "".join(
        JsonLines().format(one) for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))
    )
    name = USER.encode()
    assert name in written(tmp_path, "history"), "whose conversation it is must be known"
    for place in (written(tmp_path, "usage"), written(tmp_path, "limits"), logged.encode(), told, answers[-2].content):
        assert name not in place and USER.encode("unicode-escape") not in place
    for place in (written(tmp_path, "usage"), written(tmp_path, "limits"), logged.encode(), answers[-2].content):
        assert ours.encode() in place


async def test_a_server_that_does_not_know_the_parameter_is_asked_without_it(tmp_path: Path) -> None:
    unknown = status(400, code="unsupported_parameter", param="user", type="invalid_request_error")
    async with openai_stub() as stub:
        stub.then(unknown, well)
        remote = OpenAIGenerator(OpenAIOptions(stub.base_url, "gpt-stub", user_field="user"))
        keys = KeyCheck().naming(Pseudonyms.kept_in(tmp_path / "secret"))
        options = ServiceOptions(remote=remote, keys=keys)  # type: ignore[arg-type]
        async with running_service(tmp_path, options) as service, service.client() as client:
            answers = [await client.post("/OpenAI", json=ASKED) for _ in range(2)]
        await remote.close()

    assert [one.status_code for one in answers] == [200, 200]
    assert ["user" in call.body for call in stub.calls] == [True, False, False]


def settings(folder: Path, **more: object) -> Settings:
    return Settings.model_validate({"history": {"sqlite_path": folder / "history.sqlite3"}, **more})


def test_a_change_of_the_pepper_gives_nobody_new_counters(tmp_path: Path) -> None:
    """Under the pepper alone it would; the secret's own file takes the pepper of before over."""
    pepper, secret = tmp_path / "pepper", tmp_path / "secret"
    pepper.write_text("a" * 64)
    auth = {"auth": {"pepper_file": pepper, "sqlite_path": tmp_path / "keys.sqlite3"}}
    before = open_keys(settings(tmp_path, **auth), Policies()).pseudonym("t", USER)

    secret.write_text("a" * 64)
    pepper.write_text("b" * 64 + "\n" + "a" * 64)
    alone = open_keys(settings(tmp_path, **auth), Policies())
    own = open_keys(settings(tmp_path, **auth, privacy={"secret_file": secret}), Policies())

    assert own.pseudonym("t", USER) == before != alone.pseudonym("t", USER)
    assert before in alone.pseudonyms("t", USER)  # so that erasing finds what was written before


def test_one_machine_makes_its_secret_and_a_cluster_never_does(tmp_path: Path) -> None:
    made, again = open_pseudonyms(settings(tmp_path)), open_pseudonyms(settings(tmp_path))
    in_cluster = open_pseudonyms(settings(tmp_path, history={"store": "mongodb"}))

    assert made is not None and again is not None and made.of("", USER) == again.of("", USER)
    assert [one.name for one in tmp_path.iterdir()] == ["chatbot-pseudonyms.secret"]
    assert in_cluster is None
