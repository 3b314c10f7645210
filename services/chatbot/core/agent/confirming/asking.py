"""A call that does more than read, as its user is asked for it."""

import json
from collections.abc import Sequence
from secrets import token_hex
from typing import Final

from chatbot.core.agent.toolbox import parsed
from chatbot.core.tools.contract import Approval, ToolRefused
from chatbot.domain.tools import ToolCall
from chatbot.domain.toolservers.proposal import MAX_SHOWN_CHARACTERS, Proposal, id_of
from chatbot.domain.visible_text import visible

_NONCE_BYTES: Final = 6
_ASKS: Final = {
    "ko": ("확인이 필요한 작업이 있습니다. 아직 실행하지 않았습니다.", "{minutes}분 안에 확인하면 실행합니다."),
    "en": (
        "This needs your confirmation. Nothing was done yet.",
        "Confirm it within {minutes} min, and it is done.",
    ),
    "ja": ("確認が必要な操作があります。まだ実行していません。", "{minutes}分以内に確認すると実行します。"),
}


def proposed(approval: Approval, call: ToolCall, until: float) -> Proposal:
    """A call, to be confirmed.

    Args:
        approval: Of its tool.
        call: As the model made it.
        until: Unix seconds.

    Raises:
        ToolRefused: Nobody could see what would be run: it is no object, too long, or has characters that are not seen.
    """
    arguments = parsed(call.arguments)
    if arguments is None:
        raise ToolRefused("bad_arguments")
    text = json.dumps(arguments, ensure_ascii=False)
    if len(text) > MAX_SHOWN_CHARACTERS:
        raise ToolRefused("too_long", maximum=MAX_SHOWN_CHARACTERS)
    if visible(text) != text:
        raise ToolRefused("hidden_text")
    nonce = token_hex(_NONCE_BYTES)
    asked = Proposal("", call.name, approval.server, text, approval.pin, until)
    return Proposal(id_of(nonce, asked), call.name, approval.server, text, approval.pin, until)


def question_of(proposals: Sequence[Proposal], language: str, seconds: float) -> str:
    """What the user is asked, in place of an answer of the model: it may not say that something was done."""
    before, behind = _ASKS[language]
    # In a block of code nothing is a link or a picture; a backtick could end it.
    lines = [f"{one.tool} {one.arguments.replace('`', chr(39))}" for one in proposals]
    shown = "\n".join(["```", *lines, "```"])
    return f"{before}\n{shown}\n{behind.format(minutes=max(1, int(seconds // 60)))}"
