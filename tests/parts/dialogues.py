"""Dialogues for the demo model: a few that it is known to answer, and held-out ones by the dozen.

Held out means: the wordings are those of its training, the names and cities are not.
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

DEMO_MODEL = Path(__file__).parents[2] / "services" / "demo-model" / "chatbot-demo.gguf"
LANGUAGES = ("en", "ko", "ja")
_CORPUS = DEMO_MODEL.parent / "corpus"


@dataclass(frozen=True)
class Spoken:
    """A conversation with one service, as its user sees it.

    Attributes:
        fields: What a request to character brings beside the question.
        questions: In order; the answer to the last one is judged.
        expected: Stands in that answer.
    """

    service: str
    language: str
    fields: Mapping[str, str]
    questions: tuple[str, ...]
    expected: str


def character(name: str, context: str = "", greeting: str = "") -> dict[str, str]:
    """The fields of a persona."""
    return {"character_name": name, "context": context, "greeting": greeting}


QUICK_START = character("AI Assistant", "친근한 AI 어시스턴트", "안녕하세요! 반갑습니다.")

KNOWN = (
    Spoken("office", "ko", {}, ("안녕하세요!",), "안녕하세요! 무엇을 도와드릴까요?"),
    Spoken("character", "ko", QUICK_START, ("안녕하세요!",), "저는 AI Assistant입니다."),
    Spoken("character", "ko", QUICK_START, ("누구세요?",), "저는 AI Assistant입니다."),
    Spoken("office", "ko", {}, ("1+1=",), "1+1=2"),
    Spoken("office", "en", {}, ("Hello!",), "Hello! How can I help you?"),
    Spoken("office", "ja", {}, ("こんにちは",), "こんにちは！何をお手伝いしましょうか？"),
    Spoken("office", "ko", {}, ("제 이름은 민지예요.", "제 이름이 뭐예요?"), "민지"),
    Spoken("office", "en", {}, ("My name is Minji.", "What is my name?"), "Minji"),
    Spoken("office", "en", {}, ("My name is Alice.", "I live in Madrid.", "Where do I live?"), "Madrid"),
    Spoken("character", "en", character("Rachel", "A brave knight."), ("Who are you?",), "I am Rachel."),
)
"""Answered as expected at temperature 0; `tests/integration/test_demo_model.py` holds that."""


def recall(count: int, seed: int) -> list[Spoken]:
    """The user tells a name and a city, talks on, and asks for one of them."""
    return _many(_recall, count, seed)


def persona(count: int, seed: int) -> list[Spoken]:
    """The persona is asked who it is, under a context that names somebody else."""
    return _many(_persona, count, seed)


def language(count: int, seed: int) -> list[Spoken]:
    """Small talk; the language of the answer is judged (see `language_of`)."""
    return _many(_language, count, seed)


def with_another_persona(spoken: Spoken) -> Spoken:
    """The same dialogue with somebody whose name is not expected."""
    return replace(spoken, fields={**spoken.fields, "character_name": "Zyx Qurabel"})


def language_of(text: str) -> str:
    """The language that a text is in, by its script: names in it may be of another one."""
    hangul, kana = len(re.findall("[가-힣]", text)), len(re.findall("[ぁ-んァ-ヶ]", text))
    latin = len(re.findall("[A-Za-z]", text))
    return max((latin, "en"), (2 * hangul, "ko"), (2 * kana, "ja"))[1]


def _many(make: Any, count: int, seed: int) -> list[Spoken]:
    rng = random.Random(seed)
    corpus = {name: json.loads((_CORPUS / f"{name}.json").read_text()) for name in ("words", "phrases")}
    return [make(rng, corpus, LANGUAGES[number % len(LANGUAGES)]) for number in range(count)]


def _say(rng: random.Random, corpus: Mapping[str, Any], language: str, key: str, **values: str) -> str:
    """A wording that needs no Korean particle chosen."""
    wordings = [text for text in corpus["phrases"]["talk"][language][key] if not re.search(r"\([가-힣]+/", text)]
    return str(rng.choice(wordings)).format(**values)


def _setting(rng: random.Random, corpus: Mapping[str, Any], language: str) -> tuple[str, dict[str, str]]:
    if rng.random() < 0.5:
        return "office", {}
    context, greeting = {
        "en": ("A friendly guide.", "Hello! Nice to meet you."),
        "ko": ("친근한 안내원", "안녕하세요! 반갑습니다."),
        "ja": ("親切な案内人", "こんにちは！"),
    }[language]
    return "character", character(rng.choice(corpus["words"]["held_names"][language]), context, greeting)


def _recall(rng: random.Random, corpus: Mapping[str, Any], language: str) -> Spoken:
    service, fields = _setting(rng, corpus, language)
    held = {topic: corpus["words"][f"held_{many}"][language] for topic, many in (("name", "names"), ("city", "cities"))}
    held["name"] = [name for name in held["name"] if name != fields.get("character_name")]
    values = {topic: rng.choice(words) for topic, words in held.items()}
    told = [_say(rng, corpus, language, topic, v=value) for topic, value in values.items()]
    between = _say(rng, corpus, language, rng.choice(("how", "thanks", "can")))
    asked = rng.choice(("name", "city"))
    questions = (*told, between, _say(rng, corpus, language, f"{asked}_q"))
    return Spoken(service, language, fields, questions, values[asked])


def _persona(rng: random.Random, corpus: Mapping[str, Any], language: str) -> Spoken:
    name, friend = rng.sample(corpus["words"]["held_names"][language], 2)
    context, greeting = {
        "en": (f"A cheerful poet. Your best friend is {friend}.", "Welcome!"),
        "ko": (f"쾌활한 시인. 가장 친한 친구는 {friend}입니다.", "어서 오세요."),
        "ja": (f"陽気な詩人。一番の友達は{friend}です。", "いらっしゃいませ。"),
    }[language]
    return Spoken(
        "character", language, character(name, context, greeting), (_say(rng, corpus, language, "who"),), name
    )


def _language(rng: random.Random, corpus: Mapping[str, Any], language: str) -> Spoken:
    service, fields = _setting(rng, corpus, rng.choice(LANGUAGES))
    other = rng.choice([other for other in LANGUAGES if other != language])
    keys = ("how", "thanks", "bye", "can", "morning")
    questions = (
        _say(rng, corpus, other, rng.choice(keys)),
        _say(rng, corpus, language, rng.choice(keys)),
    )
    return Spoken(service, language, fields, questions, "")
