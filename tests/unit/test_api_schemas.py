"""Fields of requests: counted after NFC, bounded, and named when they are wrong, without their value."""

import unicodedata
from typing import Any

import pytest
from chatbot.api.schemas import CharacterRequest, OfficeRequest, check_turn_id, count_unknown, validated
from chatbot.api.texts import LANGUAGES, text
from chatbot.api.v1.schemas import ChatCompletionRequest
from chatbot.domain.chat import Message
from chatbot.domain.errors import InvalidInput
from chatbot.domain.generation import AnswerFormat

OFFICE = {"input_data": "안녕하세요!", "user_id": "test_user"}
CHARACTER = OFFICE | {"character_name": "AI Assistant", "greeting": "안녕하세요!", "context": "친근한 AI 어시스턴트"}
V1: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CANARY = "canary-7f3a"
SCHEMA_FIELD = "response_format.json_schema.schema"


def schema_format(**changes: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}} | changes}


def refused(schema: type[Any], body: dict[str, Any]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        validated(schema, body)
    return caught.value


def test_takes_the_quick_start() -> None:
    assert validated(OfficeRequest, OFFICE).db_id is None
    asked = validated(CharacterRequest, CHARACTER | {"db_id": "test-uuid"})
    assert asked.prompt_fields() == {
        "character_name": "AI Assistant",
        "greeting": "안녕하세요!",
        "context": "친근한 AI 어시스턴트",
    }


@pytest.mark.parametrize(
    ("count", "is_taken"), [(500, True), (501, False), (10_000, False)], ids=["500", "501", "10000"]
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_counts_code_points_after_nfc(count: int, is_taken: bool, form: str) -> None:
    body = OFFICE | {"input_data": unicodedata.normalize(form, "각" * count)}

    if is_taken:
        assert validated(OfficeRequest, body).input_data == "각" * count
    else:
        wrong = refused(OfficeRequest, body)
        assert (wrong.field, wrong.problem, wrong.limits) == ("input_data", "too_long", {"maximum": 500})


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"input_data": ""}, "input_data", "too_short"),
        ({"input_data": None}, "input_data", "not_text"),
        ({"input_data": 5}, "input_data", "not_text"),
        ({"input_data": [CANARY]}, "input_data", "not_text"),
        ({"input_data": {"$ne": CANARY}}, "input_data", "not_text"),
        ({"input_data": CANARY + "\x00"}, "input_data", "control_characters"),
        ({"input_data": CANARY + "\x1b[31m"}, "input_data", "control_characters"),
        ({"user_id": ""}, "user_id", "too_short"),
        ({"user_id": CANARY * 20}, "user_id", "too_long"),
        ({"user_id": CANARY + "\n"}, "user_id", "not_printable"),
        ({"user_id": CANARY + "\u202e"}, "user_id", "not_printable"),
        ({"user_id": {"$gt": ""}}, "user_id", "not_text"),
        ({"db_id": ""}, "db_id", "bad_name"),
        ({"db_id": "../" + CANARY}, "db_id", "bad_name"),
        ({"db_id": CANARY + "\n"}, "db_id", "bad_name"),
        ({"db_id": "-a"}, "db_id", "bad_name"),
        ({"db_id": "a" * 65}, "db_id", "bad_name"),
        ({"db_id": "대화"}, "db_id", "bad_name"),
        ({"db_id": 7}, "db_id", "not_text"),
        ({"google_access": "true"}, "google_access", "not_boolean"),
        ({"google_access": 1}, "google_access", "not_boolean"),
        ({"local_only": None}, "local_only", "not_boolean"),
    ],
)
def test_names_the_wrong_field_and_never_its_value(change: dict[str, Any], field: str, problem: str) -> None:
    wrong = refused(OfficeRequest, OFFICE | change)

    assert (wrong.field, wrong.problem) == (field, problem)
    for language in LANGUAGES:
        assert CANARY not in text(f"problem.{wrong.problem}", language, wrong.limits)


@pytest.mark.parametrize("name", ["input_data", "user_id", "character_name", "greeting", "context"])
def test_says_which_field_is_missing(name: str) -> None:
    wrong = refused(CharacterRequest, {key: value for key, value in CHARACTER.items() if key != name})

    assert (wrong.field, wrong.problem) == (name, "required")


@pytest.mark.parametrize(("name", "maximum"), [("character_name", 100), ("greeting", 2000), ("context", 4000)])
def test_bounds_the_persona(name: str, maximum: int) -> None:
    assert validated(CharacterRequest, CHARACTER | {name: "가" * maximum})
    assert refused(CharacterRequest, CHARACTER | {name: "가" * (maximum + 1)}).limits == {"maximum": maximum}


def test_ignores_and_counts_unknown_fields() -> None:
    body = OFFICE | {"temperature": 3, "max_tokens": "x"}

    assert validated(OfficeRequest, body)
    assert count_unknown(OfficeRequest, body) == 2


@pytest.mark.parametrize("value", ["", "a b", "가", "a" * 65, "a\n"])
def test_refuses_a_bad_idempotency_key(value: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        check_turn_id(value)

    assert wrong.value.field == "Idempotency-Key"


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"n": 2}, "n", "not_supported"),
        ({"n": True}, "n", "not_supported"),
        ({"logprobs": True}, "logprobs", "not_supported"),
        ({"top_logprobs": 3}, "top_logprobs", "not_supported"),
        ({"functions": [{}]}, "functions", "send_tools"),
        ({"function_call": {"name": "f"}}, "function_call", "send_tool_choice"),
        ({"logit_bias": {"1": 5}}, "logit_bias", "not_supported"),
        ({"response_format": "json_object"}, "response_format", "not_object"),
        ({"response_format": {}}, "response_format.type", "required"),
        ({"response_format": {"type": "grammar"}}, "response_format.type", "wrong_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "required"),
        ({"response_format": schema_format(name=None)}, "response_format.json_schema.name", "not_text"),
        ({"response_format": schema_format(name="a b")}, "response_format.json_schema.name", "bad_format_name"),
        ({"response_format": schema_format(name="x" * 65)}, "response_format.json_schema.name", "bad_format_name"),
        ({"response_format": schema_format(schema=[])}, "response_format.json_schema.schema", "not_object"),
        ({"response_format": schema_format(schema={"d": "가" * 11_000})}, SCHEMA_FIELD, "too_many_bytes"),
        ({"response_format": schema_format(strict="yes")}, "response_format.json_schema.strict", "not_boolean"),
        ({"audio": {}}, "audio", "not_supported"),
        ({"modalities": ["audio"]}, "modalities", "not_supported"),
        ({"temperature": 2.1}, "temperature", "too_large"),
        ({"temperature": "1"}, "temperature", "not_number"),
        ({"temperature": 10**400}, "temperature", "not_number"),
        ({"top_p": 0}, "top_p", "not_above"),
        ({"max_tokens": 0}, "max_tokens", "too_small"),
        ({"max_tokens": 1.5}, "max_tokens", "not_integer"),
        ({"max_completion_tokens": 2**70}, "max_completion_tokens", "too_large"),
        ({"seed": 2**80}, "seed", "too_large"),
        ({"stop": ["a"] * 5}, "stop", "too_many"),
        ({"stop": [""]}, "stop[0]", "too_short"),
        ({"stop": 5}, "stop", "not_list"),
        ({"stream": "yes"}, "stream", "not_boolean"),
        ({"stream_options": []}, "stream_options", "not_object"),
        ({"model": ""}, "model", "too_short"),
        ({"user": "x" * 129}, "user", "too_long"),
        ({"messages": []}, "messages", "too_few"),
        ({"messages": "hi"}, "messages", "not_list"),
        ({"messages": ["hi"]}, "messages[0]", "not_object"),
        ({"messages": [{"role": "user", "content": "x"}] * 101}, "messages", "too_many"),
        ({"messages": [{"role": "user", "content": "x" * 8001}]}, "messages[0].content", "too_long"),
        ({"messages": [{"role": "root", "content": "x"}]}, "messages[0].role", "wrong_choice"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages", "last_not_user"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "required"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "not_text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content", "not_supported"),
    ],
)
def test_refuses_what_v1_does_not_do(change: dict[str, Any], field: str, problem: str) -> None:
    wrong = refused(ChatCompletionRequest, V1 | change)

    assert (wrong.field, wrong.problem) == (field, problem)
    for language in LANGUAGES:
        assert text(f"problem.{wrong.problem}", language, wrong.limits)


@pytest.mark.parametrize(
    "change",
    [
        {"n": 1, "logprobs": False, "tools": [], "tool_choice": "none", "logit_bias": {}, "functions": None},
        {"response_format": {"type": "text"}, "modalities": ["text"], "metadata": {"a": "b"}, "store": True},
        {"response_format": {"type": "json_object"}},
        {"response_format": schema_format(strict=None, description="d")},
        {"stop": "\n", "stream": None, "stream_options": None, "temperature": 1, "seed": -1},
    ],
)
def test_takes_what_asks_for_nothing_special(change: dict[str, Any]) -> None:
    assert validated(ChatCompletionRequest, V1 | change)


def test_turns_a_response_format_into_what_the_answer_must_be() -> None:
    given = schema_format(schema={"b": "가", "a": 1}, strict=True, description="d")
    formats = [
        validated(ChatCompletionRequest, V1 | {"response_format": one}).response_format
        for one in ({"type": "text"}, {"type": "json_object"}, given)
    ]

    assert [one.answer_format() for one in formats if one] == [
        None,
        AnswerFormat(),
        AnswerFormat('{"b":"가","a":1}', "n", "d", True),
    ]


def test_turns_messages_into_a_dialogue() -> None:
    asked = validated(
        ChatCompletionRequest,
        V1
        | {
            "messages": [
                {"role": "system", "content": "s1"},
                {"role": "user", "content": [{"type": "text", "text": "u"}, {"type": "text", "text": "1"}]},
                {"role": "assistant", "content": "a1"},
                {"role": "developer", "content": "s2"},
                {"role": "user", "content": "u2"},
            ]
        },
    )

    dialogue = asked.dialogue()

    assert dialogue.system == "s1\n\ns2"
    assert dialogue.history == (Message("user", "u1"), Message("assistant", "a1"))
    assert dialogue.question == Message("user", "u2")
    assert not dialogue.may_shorten
