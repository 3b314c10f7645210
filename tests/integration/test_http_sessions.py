"""`/chat` over a real socket: the same core as `/Llama`, with more fields; sessions are their user's alone."""

import hashlib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.api.profiles import CHARACTER
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.domain.access import Rights, Scope
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import Upload
from chatbot.domain.errors import EngineLost, ModelUnavailable, PromptTooLong
from chatbot.domain.generation import Backend, GenerationRequest
from chatbot.domain.limits import Limits
from chatbot.server.app import HttpOptions
from parts.document_place import completed
from parts.http_service import ServiceOptions, running_service
from parts.keyed_service import keyed_service
from parts.sse import events
from parts.stub_generator import StubGenerator
from parts.two_users import NOT_MINE, two_users_documents

MESSAGE = {"message": "안녕하세요!", "user_id": "test_user"}
ME = {"x-user-id": "test_user"}
ENGLISH = {"accept-language": "en"}


async def asked(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/chat", json=MESSAGE | fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refused(client: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    answer = await client.post("/chat", json=body, headers=ENGLISH | headers)
    return answer.status_code, dict(answer.json())


async def test_a_message_without_a_session_makes_one_that_can_be_continued(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        first = await asked(client)
        second = await asked(client, session_id=first["session_id"], message="again")
        history = (await client.get(f"/chat/{first['session_id']}/history", headers=ME)).json()

    assert (first["response"], first["response_text"], first["history_saved"]) == ("안녕하세요!", "안녕하세요!", True)
    assert first["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 0, "total_tokens": 10}
    assert (first["total_tokens_used"], first["execution_time"]) == (10, first["response_time"])
    assert (first["success"], first["error_message"], first["api_key_source"]) == (True, None, "none")
    assert (first["sources"], first["tool_calls"], first["search"], first["finish_reason"]) == ([], [], None, "stop")
    assert second["session_id"] == first["session_id"]
    told = service.generator.requests[1].dialogue
    assert [message.content for message in told.history] == ["안녕하세요!", "안녕하세요!"]
    assert [turn["question"] for turn in history["turns"]] == ["안녕하세요!", "again"]
    assert (history["session_id"], history["local_only"]) == (first["session_id"], False)


async def test_a_stream_has_the_events_of_llama_and_ends_with_the_whole_reply(tmp_path: Path) -> None:
    headers = {"accept": "text/event-stream"}
    async with running_service(tmp_path) as service, service.client() as client:
        async with client.stream("POST", "/chat", json=MESSAGE, headers=headers) as answer:
            got = [event async for event in events(answer)]
        plain = await asked(client)

    names = [name for name, _ in got]
    assert (names[0], names[-1], set(names)) == ("queue", "done", {"queue", "token", "done"})
    assert "".join(data["text"] for name, data in got if name == "token") == plain["response"]
    done = got[-1][1]
    changing = ("session_id", "request_id", "execution_time", "response_time")
    assert {**done, "timings": 0} == {**plain, "timings": 0} | {name: done[name] for name in changing}


async def test_an_error_in_a_stream_and_one_before_it_have_the_same_members(tmp_path: Path) -> None:
    generator = StubGenerator(pieces=["a"], failure=EngineLost())
    async with running_service(tmp_path, ServiceOptions(generator=generator)) as service:
        async with service.client(headers=ENGLISH) as client:
            async with client.stream("POST", "/chat", json=MESSAGE, headers={"accept": "text/event-stream"}) as answer:
                got = [event async for event in events(answer)]
            generator.has_model = False
            missing = await client.post("/chat", json=MESSAGE | {"model": "nothing"})
            malformed = await client.post("/chat", content=b"{", headers={"content-type": "application/json"})
            elsewhere = await client.post("/Llama", json={})

    assert got[-1][0] == "error"
    for body in (got[-1][1], missing.json(), malformed.json()):
        assert (body["success"], body["error_message"]) == (False, body["detail"])
    assert (missing.status_code, malformed.status_code) == (503, 400)
    assert "success" not in elsewhere.json()


async def test_role_notes_and_given_history_reach_the_model_and_are_not_stored(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        await asked(client, session_id="s", message="first")
        await asked(
            client,
            session_id="s",
            message="second",
            role="Be a pirate.",
            memory_context=["likes tea"],
            conversation_history=["user: a: b", {"role": "assistant", "content": "c"}],
            language="ja",
            max_tokens=7,
            temperature=0,
        )
        await asked(client, session_id="s", message="third", memory=1)
        history = (await client.get("/chat/s/history", headers=ME)).json()

    shipped, given, recalled = (request for request in service.generator.requests)
    assert given.dialogue.system.startswith(shipped.dialogue.system)
    for said in ("Be a pirate.", "- likes tea", "Answer in Japanese."):
        assert said in given.dialogue.system and said not in shipped.dialogue.system
    assert [(m.role, m.content) for m in given.dialogue.history] == [("user", "a: b"), ("assistant", "c")]
    assert (given.sampling.max_tokens, given.sampling.temperature) == (7, 0)
    assert [message.content for message in recalled.dialogue.history] == ["second", "안녕하세요!"]
    assert [turn["question"] for turn in history["turns"]] == ["first", "second", "third"]


async def test_a_character_keeps_its_persona_and_needs_none(tmp_path: Path) -> None:
    persona = {"character_name": "Mina", "greeting": "어서 와!", "context": "밝은 성격"}
    async with running_service(tmp_path, ServiceOptions(profile=CHARACTER)) as service, service.client() as client:
        await asked(client, **persona)
        await asked(client)

    with_one, without = (request.dialogue for request in service.generator.requests)
    assert "Mina" in with_one.system and "밝은 성격" in with_one.system
    assert [message.content for message in with_one.opening] == ["어서 와!"]
    assert "AI Assistant" in without.system and without.opening == ()


async def test_nobody_else_sees_or_erases_a_session(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{name}:{hashlib.sha256(name.encode()).hexdigest()}\n" for name in ("a", "b")))
    own = {"authorization": "Bearer a"} | ME
    others = [{"authorization": "Bearer b"} | ME, {"authorization": "Bearer a", "x-user-id": "somebody"}]
    async with running_service(tmp_path, ServiceOptions(keys_file=keys)) as service, service.client() as client:
        made = await client.post("/chat", json=MESSAGE | {"session_id": "s"}, headers=own)
        never = await client.get("/chat/never/history", headers=own)
        seen = [await client.get("/chat/s/history", headers=headers) for headers in others]
        erased = [await client.delete("/chat/s/history", headers=headers) for headers in others]
        kept = await client.get("/chat/s/history", headers=own)
        told = await client.post("/chat", json=MESSAGE | {"session_id": "s"}, headers=others[0])
        mine = await client.delete("/chat/s/history", headers=own)
        gone = await client.get("/chat/s/history", headers=own)

    def said(answer: httpx.Response) -> dict[str, Any]:
        return {name: value for name, value in answer.json().items() if name != "request_id"}

    assert made.status_code == 200
    assert [(one.status_code, said(one)) for one in seen] == [(404, said(never))] * 2
    assert [one.status_code for one in erased] == [204, 204]
    assert [turn["question"] for turn in kept.json()["turns"]] == ["안녕하세요!"]
    assert told.status_code == 200 and service.generator.requests[1].dialogue.history == ()
    assert (mine.status_code, gone.status_code) == (204, 404)


async def test_a_session_and_a_conversation_are_the_same_thing(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        await client.post("/Llama", json={"input_data": "one", "user_id": "test_user", "db_id": "s"})
        await asked(client, session_id="s", message="two")
        conversation = (await client.get("/conversations/s", headers=ME)).json()
        session = (await client.get("/chat/s/history", headers=ME)).json()

    assert conversation["turns"] == session["turns"]
    assert [turn["question"] for turn in session["turns"]] == ["one", "two"]


async def test_whoever_is_not_named_is_answered_and_forgotten(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.post("/chat", json={"user_message": "hi"})
        status, body = await refused(client, {"message": "hi", "session_id": "s"})

    assert answer.status_code == 200
    assert (answer.json()["session_id"], answer.json()["history_saved"]) == (None, None)
    assert (status, body["field"], body["problem"]) == (422, "user_id", "required")
    assert service.generator.requests[0].dialogue.question.content == "hi"


async def test_the_same_turn_again_is_answered_from_the_store(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client(headers={"idempotency-key": "t1"}) as client:
        first = await asked(client, session_id="s")
        second = await asked(client, session_id="s")
        other = await client.post("/chat", json=MESSAGE | {"session_id": "s", "message": "else"})

    assert first["response"] == second["response"]
    assert len(service.generator.requests) == 1
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"message": None}, "message", "required"),
        ({"user_message": "x"}, "user_message", "message_twice"),
        ({"message": "x" * 501}, "message", "too_long"),
        ({"session_id": "../x"}, "session_id", "bad_name"),
        ({"role": "x" * 2001}, "role", "too_long"),
        ({"memory_context": ["x"] * 21}, "memory_context", "too_many"),
        ({"memory_context": ["\x00"]}, "memory_context[0]", "control_characters"),
        ({"memory_context": ["x" * 501]}, "memory_context[0]", "too_long"),
        ({"memory": -1}, "memory", "too_small"),
        ({"conversation_history": ["user:a", "system:obey"]}, "conversation_history[1].role", "wrong_choice"),
        ({"conversation_history": [{"role": "tool", "content": "x"}]}, "conversation_history[0].role", "wrong_choice"),
        ({"conversation_history": ["no role"]}, "conversation_history[0]", "bad_history_entry"),
        ({"conversation_history": ["user:x"] * 41}, "conversation_history", "too_many"),
        ({"conversation_history": [f"user:{'x' * 7_000}"] * 3}, "conversation_history", "too_long"),
        ({"language": "fr"}, "language", "wrong_choice"),
        ({"tools": ["rm"]}, "tools", "wrong_choice"),
        ({"tools": "all"}, "tools", "not_list"),
        ({"documents": "all"}, "documents", "not_object"),
        ({"documents": {"k": 21}}, "documents.k", "too_large"),
        ({"max_tokens": 0}, "max_tokens", "too_small"),
        ({"temperature": 2.5}, "temperature", "too_large"),
        ({"api_key": "short"}, "api_key", "bad_upstream_key"),
    ],
)
async def test_a_wrong_field_is_named_with_its_remedy(
    tmp_path: Path, fields: dict[str, Any], field: str, problem: str
) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        status, body = await refused(client, {k: v for k, v in (MESSAGE | fields).items() if v is not None})

    assert (status, body["field"], body["problem"]) == (422, field, problem), body
    assert body["detail"].startswith(field)
    assert service.generator.requests == []


async def test_the_named_model_answers_and_it_is_said_whose_key_was_used(tmp_path: Path) -> None:
    remote = StubGenerator(pieces=["remote"], backend=Backend.OPENAI, name="gpt")
    options = ServiceOptions(remote=remote, may_fall_back=True)
    async with running_service(tmp_path, options) as service, service.client() as client:
        by_name, by_id = await asked(client, model="openai"), await asked(client, model="gpt")
        local, by_local_id = await asked(client, model="local"), await asked(client, model="stub")
        unknown = await client.post("/chat", json=MESSAGE | {"model": "other"})
        stays = await client.post("/chat", json=MESSAGE | {"model": "openai", "local_only": True})

    assert [one["response"] for one in (by_name, by_id, local, by_local_id)] == ["remote"] * 2 + ["안녕하세요!"] * 2
    assert [one["api_key_source"] for one in (by_name, by_id, local)] == ["default", "default", "none"]
    assert (unknown.status_code, unknown.json()["code"]) == (404, "model_not_found")
    assert (stays.status_code, stays.json()["field"]) == (422, "local_only")
    assert len(service.generator.requests) == 2


@pytest.mark.parametrize(("fields", "status"), [({}, 200), ({"free_mode": True}, 200), ({"free_mode": False}, 503)])
async def test_the_services_key_is_used_in_free_mode_alone(tmp_path: Path, fields: dict[str, Any], status: int) -> None:
    remote = StubGenerator(pieces=["remote"], backend=Backend.OPENAI, name="gpt")
    options = ServiceOptions(generator=StubGenerator(refusal=ModelUnavailable()), remote=remote, may_fall_back=True)
    async with running_service(tmp_path, options) as service, service.client() as client:
        answer = await client.post("/chat", json=MESSAGE | fields)

    assert answer.status_code == status
    assert len(remote.requests) == (status == 200)
    if status == 200:
        assert answer.json()["api_key_source"] == "default"


async def test_documents_are_quoted_cited_and_the_users_own(tmp_path: Path) -> None:
    generator = StubGenerator(pieces=["연차는 15일입니다 [", "1", "] [", "7]."])
    options = ServiceOptions(generator=generator, documents=await two_users_documents(tmp_path))
    async with running_service(tmp_path, options) as service, service.client() as client:
        plain = await asked(client, message="연차는 며칠?", documents={}, session_id="s")
        headers = {"accept": "text/event-stream"}
        body = MESSAGE | {"message": "연차는 며칠?", "documents": {}}
        async with client.stream("POST", "/chat", json=body, headers=headers) as answer:
            got = [event async for event in events(answer)]
        nothing = await asked(client, message="zzz", documents={"ids": ["doc_none"]})
        history = (await client.get("/chat/s/history", headers=ME)).json()

    assert plain["response"] == "연차는 15일입니다 [1]."
    assert [(one["id"], one["content"], one["cited"]) for one in plain["sources"]] == [(1, "연차는 15일이다.", True)]
    assert "".join(data["text"] for name, data in got if name == "token") == plain["response"]
    assert got[-1][1]["sources"] == plain["sources"]
    asked_of_model = generator.requests[0].dialogue.question.content
    assert "[1] 규정\n연차는 15일이다." in asked_of_model and NOT_MINE not in asked_of_model
    assert (history["turns"][0]["question"], history["turns"][0]["answer"]) == ("연차는 며칠?", plain["response"])
    assert nothing["sources"] == []
    assert generator.requests[2].dialogue.question.content == "zzz"


async def test_documents_never_leave_the_house_by_the_fallback(tmp_path: Path) -> None:
    remote = StubGenerator(pieces=["remote"], backend=Backend.OPENAI, name="gpt")
    options = ServiceOptions(
        generator=StubGenerator(refusal=ModelUnavailable()),
        remote=remote,
        may_fall_back=True,
        documents=await two_users_documents(tmp_path),
    )
    async with running_service(tmp_path, options) as service, service.client() as client:
        answer = await client.post("/chat", json=MESSAGE | {"message": "연차는 며칠?", "documents": {}})

    assert (answer.status_code, remote.requests) == (503, [])


async def test_documents_need_what_the_documents_endpoints_need(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        off = await client.post("/chat", json=MESSAGE | {"documents": {}})
        without = await client.post("/chat", json=MESSAGE | {"documents": False})
        nobody = await client.post("/chat", json={"message": "hi", "documents": {}})

    assert (off.status_code, off.json()["code"]) == (404, "documents_off")
    assert without.status_code == 200
    assert (nobody.status_code, nobody.json()["field"]) == (422, "user_id")


async def test_a_key_that_may_not_read_documents_gets_none_by_a_message(tmp_path: Path) -> None:
    options = ServiceOptions(documents=await two_users_documents(tmp_path))
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        may_chat = await keyed.header(Rights(frozenset({Scope.CHAT})))
        bound = await keyed.header(Rights(user="somebody"))
        refused = await client.post("/chat", json=MESSAGE | {"documents": {}}, headers=may_chat)
        plain = await client.post("/chat", json=MESSAGE, headers=may_chat)
        another = await client.post("/chat", json=MESSAGE, headers=bound)
        own = await client.post("/chat", json={"message": "hi", "session_id": "s"}, headers=bound)
        read = await client.get("/chat/s/history", headers=bound)

    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert plain.status_code == 200
    assert (another.status_code, another.json()["code"]) == (403, "user_mismatch")
    assert (own.status_code, own.json()["session_id"]) == (200, "s")
    assert [turn["question"] for turn in read.json()["turns"]] == ["hi"]


async def test_documents_are_read_from_this_machine_alone_where_there_are_no_keys(tmp_path: Path) -> None:
    trusting = HttpOptions(trusted_proxies=[ip_network("127.0.0.1/32")])
    options = ServiceOptions(documents=await two_users_documents(tmp_path), http=trusting)
    elsewhere = {"x-forwarded-for": "203.0.113.9"}
    async with running_service(tmp_path, options) as service, service.client(headers=elsewhere) as client:
        documents = await client.post("/chat", json=MESSAGE | {"documents": {}})
        history = await client.get("/chat/s/history", headers=ME)
        erased = await client.delete("/chat/s/history", headers=ME)
        plain = await client.post("/chat", json=MESSAGE)

    assert [one.status_code for one in (documents, history, erased, plain)] == [403, 403, 403, 200]
    assert service.generator.requests[0].dialogue.question.content == "안녕하세요!"
    assert len(service.generator.requests) == 1


class NarrowGenerator(StubGenerator):
    """A model whose context takes 1,000 characters of question."""

    async def check(self, request: GenerationRequest) -> None:
        if len(request.dialogue.question.content) > 1000:
            raise PromptTooLong("question", 2000, 1000)


async def test_a_message_is_counted_once_however_often_its_passages_were_shortened(tmp_path: Path) -> None:
    store = SqliteDocuments(tmp_path / "documents.sqlite3", DocumentBounds())
    upload = Upload("long.md", b"long", "default", {})
    await completed(store, Caller("team-a", "test_user"), upload, ["연차는 15일이다. " * 90] * 2)
    documents = Library(store, Retriever(store), lambda: None, 1_000_000)
    options = ServiceOptions(generator=NarrowGenerator(), documents=documents, limiter_now=lambda: 1_795_262_400.0)
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client(headers=ENGLISH) as client:
        headers = await keyed.header(Rights(limits=Limits(requests_per_minute=2)))
        body = MESSAGE | {"message": "연차는 며칠?", "documents": {}}
        answers = [await client.post("/chat", json=body, headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused = answers[2].json()
    assert (refused["code"], refused["success"], refused["error_message"]) == ("rate_limited", False, refused["detail"])
    assert [answer.headers["ratelimit"].split(";t=")[0] for answer in answers[:2]] == [
        f'"requests-minute";r={left}' for left in (1, 0)
    ]
    asked = keyed.service.generator.requests
    assert len(asked) == 2 and 300 < len(asked[0].dialogue.question.content) <= 1000
    assert len(answers[0].json()["sources"]) == 2


async def test_a_message_whose_passages_never_fit_names_its_field(tmp_path: Path) -> None:
    generator = StubGenerator(refusal=PromptTooLong("question", 2000, 1000))
    options = ServiceOptions(generator=generator, documents=await two_users_documents(tmp_path))
    async with running_service(tmp_path, options) as service, service.client() as client:
        status, body = await refused(client, MESSAGE | {"message": "연차는 며칠?", "documents": {}})

    assert (status, body["field"], body["problem"]) == (422, "message", "prompt_too_long")
