"""What a person is told of tools: what came out, in a line, and an answer where there is no model to write one."""

from collections.abc import Iterable
from typing import Final

from chatbot.core.agent.toolbox import Outcome, Ran, Toolbox
from chatbot.core.tools.contract import reach_of
from chatbot.domain.visible_text import visible

MAX_SUMMARY_CHARACTERS: Final = 200

_FAILED: Final = {
    Outcome.REFUSED: {
        "ko": "이 요청은 처리할 수 없었습니다.",
        "en": "This could not be worked out.",
        "ja": "この内容は処理できませんでした。",
    },
    Outcome.TIMEOUT: {
        "ko": "제시간에 끝나지 않았습니다.",
        "en": "It did not end in time.",
        "ja": "時間内に終わりませんでした。",
    },
    Outcome.FAILED: {
        "ko": "도구에 문제가 생겼습니다.",
        "en": "The tool has a problem.",
        "ja": "ツールに問題が発生しました。",
    },
    Outcome.UNAVAILABLE: {
        "ko": "지금은 사용할 수 없습니다.",
        "en": "It is not available now.",
        "ja": "現在は利用できません。",
    },
    Outcome.UNSURE: {
        "ko": "실행되었는지 알 수 없습니다. 다시 요청하기 전에 확인해 주세요.",
        "en": "It is not known whether it was done. Look before you ask for it again.",
        "ja": "実行されたかどうか分かりません。もう一度依頼する前に確認してください。",
    },
    Outcome.UNKNOWN: {
        "ko": "없는 도구입니다.",
        "en": "There is no such tool.",
        "ja": "そのようなツールはありません。",
    },
}


def summary_of(toolbox: Toolbox, language: str, ran: Ran) -> str:
    """One line on a call that ended, at most 200 characters."""
    tool = toolbox.named(ran.call.name)
    if ran.outcome is not Outcome.OK or tool is None:
        return _FAILED[ran.outcome if ran.outcome in _FAILED else Outcome.FAILED][language]
    said = " ".join(visible(tool.say(ran.result, language)).split())
    return said if len(said) <= MAX_SUMMARY_CHARACTERS else f"{said[: MAX_SUMMARY_CHARACTERS - 1]}…"


def answer_without_model(toolbox: Toolbox, language: str, ran: Iterable[Ran]) -> str:
    """What came out of the calls that went well, as sentences; "" where none did.

    Other people's text is no answer of ours: what a tool brought from outside is left out. Of a call that the user
    confirmed it is said how it ended, whatever came out.
    """
    said = []
    for each in ran:
        tool = toolbox.named(each.call.name)
        if tool is not None and reach_of(tool).asks_first is not None:
            said.append(f"{tool.name}: {summary_of(toolbox, language, each)}")
        elif each.outcome is Outcome.OK and tool is not None and not reach_of(tool).is_outside:
            said.append(visible(tool.say(each.result, language)))
    return "\n".join(said)
