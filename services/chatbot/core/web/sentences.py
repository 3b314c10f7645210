"""What a person is told of the web: where an answer comes from, or why it comes from elsewhere."""

from collections.abc import Iterable, Mapping
from typing import Final

from chatbot.core.question import References, Source

_SOURCES: Final = {"ko": "출처", "en": "Sources", "ja": "出典"}
_READ: Final = {"ko": "참고한 웹 페이지", "en": "Pages that were read", "ja": "参照したページ"}
_FOUND: Final = {"ko": "웹에서 {n}건 찾음", "en": "{n} found on the web", "ja": "ウェブで{n}件見つかりました"}
_NOTES: Final[Mapping[str, Mapping[str, str]]] = {
    "not_configured": {
        "ko": "웹 검색이 설정되어 있지 않아 웹을 참고하지 않은 답변입니다.",
        "en": "Web search is not set up here: this answer does not use the web.",
        "ja": "ウェブ検索が設定されていないため、ウェブを参照していない回答です。",
    },
    "local_only": {
        "ko": "이 대화는 외부로 나갈 수 없어 웹을 참고하지 않은 답변입니다.",
        "en": "This conversation must not leave the house: this answer does not use the web.",
        "ja": "この会話は外部に送れないため、ウェブを参照していない回答です。",
    },
    "failed": {
        "ko": "지금은 웹 검색이 응답하지 않아 웹을 참고하지 않은 답변입니다.",
        "en": "Web search does not answer now: this answer does not use the web.",
        "ja": "現在ウェブ検索が応答しないため、ウェブを参照していない回答です。",
    },
    "empty": {
        "ko": "웹에서 찾은 것이 없어 웹을 참고하지 않은 답변입니다.",
        "en": "Nothing was found on the web: this answer does not use it.",
        "ja": "ウェブで何も見つからなかったため、ウェブを参照していない回答です。",
    },
    "context": {
        "ko": "웹에서 찾은 내용을 넣을 자리가 없어 웹을 참고하지 않은 답변입니다.",
        "en": "There was no room for what the web says: this answer does not use it.",
        "ja": "ウェブの内容を入れる余裕がないため、ウェブを参照していない回答です。",
    },
}
REASONS: Final = tuple(_NOTES)
"""Why an answer does not use the web."""


def note(reason: str, language: str) -> str:
    """Why the web was not used, a sentence."""
    return _NOTES[reason][language]


def found(count: int, language: str) -> str:
    """How much was found, for the step of the tool."""
    return _FOUND[language].format(n=count)


def behind(references: References, language: str) -> str:
    """What stands behind an answer: the sources that it names, all where it names none, or why there are none."""
    if references.reason:
        return f"\n\n({note(references.reason, language)})"
    cited = [source for source in references.sources if source.is_cited]
    heading = _SOURCES if cited else _READ
    return "\n".join([f"\n\n{heading[language]}:", *_lines(cited or references.sources)])


def _lines(sources: Iterable[Source]) -> Iterable[str]:
    return (f"[{source.number}] {source.title} - {source.url}" for source in sources)
