"""Prompt files: what the services send, and what a replaced file may hold."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chatbot.core.prompt import MAX_FILE_BYTES, PromptFileError, PromptTemplates
from chatbot.domain.chat import Message, Turn
from chatbot.domain.generation import Backend

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PERSONA = {"character_name": "AI Assistant", "context": "친근한 AI 어시스턴트", "greeting": "안녕하세요! 반갑습니다."}


@pytest.mark.parametrize("backend", list(Backend))
@pytest.mark.parametrize("service", ["office", "character"])
def test_shipped_files_fill_in_without_a_trace_of_the_template(service: str, backend: Backend) -> None:
    dialogue = PromptTemplates.shipped(service, backend).dialogue(PERSONA, (), "안녕하세요!")

    assert "{" not in dialogue.system
    assert dialogue.question == Message("user", "안녕하세요!")
    assert len(dialogue.system) < 600


@pytest.mark.parametrize("backend", list(Backend))
def test_character_keeps_its_persona(backend: Backend) -> None:
    dialogue = PromptTemplates.shipped("character", backend).dialogue(PERSONA, (), "누구세요?")

    assert "AI Assistant" in dialogue.system
    assert "친근한 AI 어시스턴트" in dialogue.system
    assert dialogue.opening == (Message("assistant", "안녕하세요! 반갑습니다."),)


def test_character_without_a_greeting_has_no_opening() -> None:
    persona = {"character_name": "Bo", "context": "", "greeting": ""}

    assert PromptTemplates.shipped("character", Backend.LLAMA).dialogue(persona, (), "Hi").opening == ()


def test_history_comes_before_the_question_oldest_first() -> None:
    turns = [Turn("1", "q1", "a1", NOW), Turn("2", "q2", "a2", NOW)]

    dialogue = PromptTemplates("s").dialogue({}, turns, "q3")

    assert [message.content for message in dialogue.history] == ["q1", "a1", "q2", "a2"]
    assert [message.role for message in dialogue.history] == ["user", "assistant"] * 2
    assert dialogue.may_shorten


def test_braces_of_a_user_stay_plain_text() -> None:
    persona = {"character_name": "{context}", "context": "{0} {greeting} {{x}} %s \\1 ${HOME}", "greeting": "{system}"}

    dialogue = PromptTemplates("{character_name}|{context}", "{greeting}").dialogue(persona, (), "{context}")

    assert dialogue.system == "{context}|{0} {greeting} {{x}} %s \\1 ${HOME}"
    assert dialogue.opening[0].content == "{system}"
    assert dialogue.question.content == "{context}"


def test_smoke_dialogue_fills_every_placeholder() -> None:
    smoke = PromptTemplates.shipped("character", Backend.LLAMA).smoke()

    assert "{" not in smoke.system
    assert smoke.question.content == "1+1="


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "not JSON", id="cut off"),
        pytest.param("[" * 50_000, "not JSON", id="too deep"),
        pytest.param("[]", "must be a JSON object", id="a list"),
        pytest.param('{"system": 1}', "values are texts", id="a number"),
        pytest.param("{}", "'system' is missing", id="no system"),
        pytest.param('{"system": "  "}', "'system' is missing or empty", id="empty system"),
        pytest.param('{"system": "x", "sytsem": "y"}', "unknown key 'sytsem'; allowed: system, opening", id="misspelt"),
        pytest.param('{"system": "{user_id}"}', "unknown placeholder {user_id} in 'system'", id="placeholder"),
    ],
)
def test_refuses_a_file_that_cannot_be_used_and_says_why(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "config-Llama.json"
    file.write_text(text, "utf-8")

    with pytest.raises(PromptFileError) as refused:
        PromptTemplates.load("character", Backend.LLAMA, tmp_path)

    assert str(file) in str(refused.value)
    assert says in str(refused.value)


def test_names_the_allowed_placeholders(tmp_path: Path) -> None:
    (tmp_path / "config-Llama.json").write_text('{"system": "{x}"}', "utf-8")

    with pytest.raises(PromptFileError, match="allowed: {character_name}, {context}, {greeting}"):
        PromptTemplates.load("character", Backend.LLAMA, tmp_path)
    with pytest.raises(PromptFileError, match="allowed: none in this service"):
        PromptTemplates.load("office", Backend.LLAMA, tmp_path)


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"\xff\xfe{", "not UTF-8 at byte 0"), (b" " * (MAX_FILE_BYTES + 1), "at most 65536")],
    ids=["not utf-8", "too large"],
)
def test_refuses_bytes_that_are_no_prompt_file(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "config-Llama.json").write_bytes(data)

    with pytest.raises(PromptFileError, match=says):
        PromptTemplates.load("office", Backend.LLAMA, tmp_path)


def test_replaced_file_counts_and_a_missing_one_is_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "config-Llama.json").write_text(json.dumps({"system": "Answer in rhyme."}), "utf-8-sig")

    own = PromptTemplates.load("office", Backend.LLAMA, tmp_path)
    shipped = PromptTemplates.load("office", Backend.OPENAI, tmp_path)

    assert own == PromptTemplates("Answer in rhyme.")
    assert shipped == PromptTemplates.shipped("office", Backend.OPENAI)
