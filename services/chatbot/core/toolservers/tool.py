"""One tool of a tool server, as the loop calls it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatbot.core.tools.contract import JsonValue, MaybeDone, Reach, ToolContext, ToolRefused, ToolResult, canonical
from chatbot.domain.toolservers.server import CallFailed, ToolServer

METRIC_LABEL: Final = "mcp"
_DONE: Final = {"ko": "실행했습니다.", "en": "It was done.", "ja": "実行しました。"}
_SAID: Final = {
    "ko": "{characters}자를 받았습니다.",
    "en": "{characters} characters came.",
    "ja": "{characters}文字を受け取りました。",
}


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """Implements `Tool`.

    Attributes:
        name: `server__tool`.
        parameters: As the model is told them.
        server: Runs it.
        remote_name: The server's own name of it.
        is_offered: Whether it still may be called: its definition may have changed since the model was told of it.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    reach: Reach
    server: ToolServer
    remote_name: str
    is_offered: Callable[["RemoteTool"], bool]

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{text}`, and `left_out` where there was more than text.

        Raises:
            ToolRefused: A word of `CALL_FAILURES`; `withdrawn`; `not_confirmed`; or `tool_error` with what the tool
                says of it.
            MaybeDone: It does more than read, and may have been run.
        """
        if not self.is_offered(self):
            raise ToolRefused("withdrawn")
        asks_first = self.reach.asks_first is not None
        if asks_first and (self.name, canonical(arguments)) not in context.granted:
            raise ToolRefused("not_confirmed")
        try:
            result = await self.server.call(self.remote_name, arguments, is_once=asks_first)
        except CallFailed as exc:
            if asks_first and exc.may_have_run:
                raise MaybeDone from None
            raise ToolRefused(exc.reason) from None
        if result.is_error:
            raise ToolRefused("tool_error", text=result.text)
        return {"text": result.text, **({"left_out": result.left_out} if result.left_out else {})}

    def say(self, result: ToolResult, language: str) -> str:
        """How much came: its text is somebody else's, and is shown to nobody as ours."""
        if self.reach.asks_first is not None:
            return _DONE[language]
        return _SAID[language].format(characters=len(str(result.get("text", ""))))
