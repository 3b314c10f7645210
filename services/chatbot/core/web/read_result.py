"""The tool `read_result`: more of a source that was found before. It asks nobody: that was read with the search."""

from collections.abc import Mapping
from typing import Final

from chatbot.core.tools.contract import JsonValue, Reach, ToolContext, ToolRefused, ToolResult

MAX_CHARACTERS: Final = 3_000
MAX_NUMBER: Final = 50


class ReadResult:
    """Implements `Tool`. It takes a number, no address: what a page says cannot make it reach anywhere."""

    name = "read_result"
    reach = Reach(is_outside=True)
    description = "The whole text of a source that web_search or news found, by its number."
    parameters: Mapping[str, JsonValue] = {
        "type": "object",
        "properties": {"source": {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER}},
        "required": ["source"],
        "additionalProperties": False,
    }

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{source, text}`.

        Raises:
            ToolRefused: `no_such_source`, with how many there are.
        """
        number = arguments.get("source")
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(context.texts):
            raise ToolRefused("no_such_source", maximum=len(context.texts))
        return {"source": number, "text": context.texts[number - 1][:MAX_CHARACTERS]}

    def say(self, result: ToolResult, language: str) -> str:
        """Its number; the text is for the model."""
        return f"[{result['source']}]"
