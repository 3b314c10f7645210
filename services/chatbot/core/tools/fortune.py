"""The tool `fortune`: a sentence for the day, the same all day for one user; for fun, and it says so."""

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from chatbot.core.tools.contract import JsonValue, ToolContext, ToolResult
from chatbot.core.tools.places import LANGUAGES

_PARTS: Final = ("luck", "aspect", "advice", "end")


class Fortune:
    """Today's fortune of whoever asks. Nothing of the user is in it but a hash of the name."""

    name = "fortune"
    description = "Today's fortune (운세, 占い) of the user, for fun. Pass on its text."
    parameters: Mapping[str, JsonValue] = {"type": "object", "properties": {}, "additionalProperties": False}

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{date, text}`: the date at the service's own zone; the sentences are the same in every language."""
        date = context.now.astimezone(ZoneInfo(context.zone)).date().isoformat()
        drawn = blake2b(digest_size=4 * len(_PARTS), person=b"chatbot.fortune")
        for part in (context.caller.tenant, context.caller.user, date):
            drawn.update(len(part.encode()).to_bytes(4, "big") + part.encode())
        draw, column = drawn.digest(), LANGUAGES.index(context.language)
        chosen = []
        for number, part in enumerate(_PARTS):
            sentences = _sentences()[part]
            index = int.from_bytes(draw[4 * number : 4 * number + 4], "big") % len(sentences)
            chosen.append(sentences[index][column])
        chosen[0] += "。" if context.language == "ja" else "."
        return {"date": date, "text": ("" if context.language == "ja" else " ").join(chosen)}

    def say(self, result: ToolResult, language: str) -> str:
        """Its text."""
        return str(result["text"])


@cache
def _sentences() -> Mapping[str, list[list[str]]]:
    """Kind -> sentences, each in all languages."""
    text = resources.files("chatbot.core.tools").joinpath("fortunes.tsv").read_text("utf-8")
    sentences: dict[str, list[list[str]]] = {part: [] for part in _PARTS}
    for line in text.splitlines():
        if not line.startswith("#"):
            part, *columns = line.split("\t")
            sentences[part].append(columns)
    return sentences
