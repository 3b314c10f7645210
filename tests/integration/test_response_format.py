"""`response_format` with the official openai client on a real engine of random weights: always JSON of the schema."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs
import openai
import pytest
from chatbot.llm.grammar import document_grammar
from hypothesis import HealthCheck, given, settings
from parts.answer_schemas import ANSWER_SCHEMAS
from parts.real_v1 import real_client
from parts.toy_engine import ToyEngine, load_toy, open_library
from parts.toy_gguf import make_toy
from pydantic import BaseModel, Field

HELLO: list[Any] = [{"role": "user", "content": "안녕하세요!"}]
WILD: dict[str, Any] = {"model": "toy", "messages": HELLO, "temperature": 1.5, "top_p": 1.0}


class Trip(BaseModel):
    """A pydantic model, as a user of `.parse` writes one."""

    class Stop(BaseModel):
        """Within it."""

        place: str = Field(max_length=12)
        nights: int = Field(ge=0, le=30)
        by: Literal["bus", "train", "배"]

    title: str = Field(max_length=20)
    stops: list[Stop] = Field(min_length=1, max_length=3)
    price: float | None


def of_schema(schema: Any, name: str = "answer", **more: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, **more}}


async def in_pieces(client: openai.AsyncOpenAI, asked: dict[str, Any]) -> tuple[str, str | None]:
    """A streamed answer put together, and why it ended."""
    choices = [chunk.choices[0] async for chunk in await client.chat.completions.create(**asked, stream=True)]
    return "".join(choice.delta.content or "" for choice in choices), choices[-1].finish_reason


async def test_answers_are_of_the_schema_streamed_or_not(tmp_path: Path) -> None:
    schema = Trip.model_json_schema()
    validator = jsonschema_rs.validator_for(schema)
    async with real_client(tmp_path) as client:
        for seed in range(8):
            asked = WILD | {"seed": seed, "response_format": of_schema(schema, strict=True)}
            whole = (await client.chat.completions.create(**asked)).choices[0]
            streamed, finish = await in_pieces(client, asked)

            assert (whole.finish_reason, whole.message.refusal, finish) == ("stop", None, "stop")
            validator.validate(json.loads(whole.message.content or ""))
            validator.validate(json.loads(streamed))


async def test_streamed_and_plain_answers_are_the_same_bytes(tmp_path: Path) -> None:
    # Equal samples may differ in llama.cpp's sums from run to run: so the only answer that the schema has.
    only = {"인사": ["안녕 🙂", 'quote " back \\ line \n', None, -1.5], "<|eot_id|>": {"<|start_header_id|>": True}}
    asked = WILD | {"max_tokens": 600, "response_format": of_schema({"const": only})}
    async with real_client(tmp_path) as client:
        whole = (await client.chat.completions.create(**asked)).choices[0].message.content
        streamed, _ = await in_pieces(client, asked)

    assert streamed == whole == json.dumps(only, ensure_ascii=False, separators=(",", ":"))


async def test_the_client_parses_into_a_pydantic_model(tmp_path: Path) -> None:
    async with real_client(tmp_path) as client:
        answer = await client.chat.completions.parse(**WILD, seed=1, response_format=Trip)

    trip = answer.choices[0].message.parsed
    assert isinstance(trip, Trip)
    assert 1 <= len(trip.stops) <= 3


async def test_any_json_object_is_an_object_or_cut_by_length(tmp_path: Path) -> None:
    ends = set()
    async with real_client(tmp_path) as client:
        for seed in range(8):
            asked = WILD | {"seed": seed, "max_completion_tokens": 400}
            answer = await client.chat.completions.create(**asked, response_format={"type": "json_object"})
            ends.add(answer.choices[0].finish_reason)
            text = answer.choices[0].message.content or ""
            assert text.startswith("{")
            if answer.choices[0].finish_reason == "stop":
                assert isinstance(json.loads(text), dict)
        short = await client.chat.completions.create(
            **WILD, max_tokens=3, response_format=of_schema({"const": "a" * 99})
        )
        free = await client.chat.completions.create(**WILD, max_tokens=3, response_format={"type": "text"})

    assert ends <= {"stop", "length"}
    assert short.choices[0].finish_reason == "length"
    assert (json.dumps("a" * 99)).startswith(short.choices[0].message.content or "-")
    assert free.choices[0].finish_reason in ("stop", "length")


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"properties": {"x": {"pattern": "^(a+)+$"}}}, ("pattern", "/properties/x")),
        ({"properties": {"x": {"$ref": "https://evil.test/s.json"}}}, ("$ref", "/properties/x")),
        ({"$ref": "#"}, ("$ref", "/$ref")),
        ({"type": "array", "items": False}, ("schema", "/items")),
    ],
    ids=["pattern", "remote", "circle", "nothing"],
)
async def test_a_schema_that_cannot_be_kept_is_a_400_in_three_languages(
    tmp_path: Path, schema: Any, told: tuple[str, str]
) -> None:
    seen = set()
    async with real_client(tmp_path) as client:
        for language in ("ko", "en", "ja"):
            with pytest.raises(openai.BadRequestError) as refused:
                await client.chat.completions.create(
                    **WILD, response_format=of_schema(schema), extra_headers={"Accept-Language": language}
                )
            assert (refused.value.param, refused.value.type) == ("response_format", "invalid_request_error")
            assert all(part in refused.value.message for part in told)
            assert "evil" not in refused.value.message
            seen.add(refused.value.message)

    assert len(seen) == 3


async def test_hostile_schemas_are_refused_and_the_next_answer_comes(tmp_path: Path) -> None:
    deep: dict[str, Any] = {"type": "null"}
    for _ in range(40):
        deep = {"type": "array", "items": deep}
    levels = {f"d{n}": {"properties": {f"p{m}": {"$ref": f"#/$defs/d{n + 1}"} for m in range(60)}} for n in range(6)}
    hostile = {
        "malformed_body": deep,
        "response_format.json_schema.schema": {"enum": ["x" * 300 + str(n) for n in range(120)]},
        "response_format": {"$ref": "#/$defs/d0", "$defs": levels | {"d6": {"type": "null"}}},
    }
    async with real_client(tmp_path) as client:
        for told, schema in hostile.items():
            with pytest.raises(openai.BadRequestError) as refused:
                await client.chat.completions.create(**WILD, response_format=of_schema(schema))
            assert told in (refused.value.param, refused.value.code)
        answer = await client.chat.completions.create(**WILD, response_format=of_schema({"const": 1}))

    assert answer.choices[0].message.content == "1"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyEngine]:
    library = open_library()
    made = ToyEngine(load_toy(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf")), shows_ids=False)
    yield made
    made.close()
    assert library.last_words() is not None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=ANSWER_SCHEMAS)
def test_random_tokens_of_any_schema_are_of_it_unless_cut(engine: ToyEngine, schema: dict[str, Any]) -> None:
    for seed in range(2):
        ids = [*range(300, 320), seed]
        text = engine.answer(ids, grammar=document_grammar(schema), temperature=1.5, seed=seed, max_tokens=400)

        assert engine.finishes["alone"]["finish"] in ("stop", "length")
        if engine.finishes["alone"]["finish"] == "stop":
            jsonschema_rs.validator_for(schema).validate(json.loads(text))
