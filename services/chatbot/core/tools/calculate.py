"""The tool `calculate`: arithmetic that a language model gets wrong and a calculator does not."""

from collections.abc import Mapping
from typing import Final

from chatbot.core.tools.contract import JsonValue, ToolContext, ToolRefused, ToolResult, text_argument
from chatbot.core.tools.exact_numbers import CannotCompute
from chatbot.core.tools.expression import MAX_CHARACTERS, MAX_DEPTH, compute


class Calculate:
    """Exact arithmetic on a bounded expression."""

    name = "calculate"
    description = (
        "Compute an arithmetic expression exactly. Operators + - * / // mod ^, % for percent; sqrt abs round floor "
        "ceil min max, pi, e."
    )
    parameters: Mapping[str, JsonValue] = {
        "type": "object",
        "properties": {
            "expression": {"type": "string", "description": "for example (1250*3)/2", "maxLength": MAX_CHARACTERS}
        },
        "required": ["expression"],
        "additionalProperties": False,
    }

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{expression, value, exact}`; `fraction` besides where it is short and the decimals never end.

        Raises:
            ToolRefused: The expression has no value.
        """
        expression = text_argument(arguments, "expression", MAX_CHARACTERS)
        try:
            number = compute(expression)
        except CannotCompute as exc:
            raise ToolRefused(exc.problem, **_LIMITS.get(exc.problem, {})) from None
        value, is_exact = number.shown()
        result: dict[str, JsonValue] = {"expression": expression, "value": value, "exact": is_exact}
        if number.is_exact and not is_exact and number.value.denominator < 10**6:
            result["fraction"] = str(number.value)
        return result

    def say(self, result: ToolResult, language: str) -> str:
        """`1/3 ≈ 0.333`, in every language."""
        return f"{result['expression']} {'=' if result['exact'] else '≈'} {result['value']}"


_LIMITS: Final[Mapping[str, dict[str, JsonValue]]] = {
    "too_long": {"maximum": MAX_CHARACTERS},
    "too_deep": {"maximum": MAX_DEPTH},
}
