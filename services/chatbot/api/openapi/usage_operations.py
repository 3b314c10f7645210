"""The operation on what requests took."""

from typing import Any, Final

from chatbot.api.accounts.usage_report import FORMATS, USUAL_DAYS
from chatbot.api.openapi.operation import Operation
from chatbot.domain.usage.rows import Group


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_DAY: Final = {"type": "string", "format": "date", "examples": ["2026-11-21"]}
_GROUPS: Final = "|".join(map(str, Group))
USAGE_OPERATIONS: Final[dict[str, Operation]] = {
    "readUsage": Operation(
        errors=(404, 422),
        success="UsageReport",
        parameters=(
            _query("from", f"First day, UTC; {USUAL_DAYS} days back by default.", _DAY),
            _query("to", "Last day, UTC; today by default.", _DAY),
            _query(
                "group_by",
                "Names with commas between, in the order of their columns.",
                {"type": "string", "pattern": f"^(({_GROUPS})(,({_GROUPS}))*)?$", "default": "day"},
            ),
            _query("format", "", {"type": "string", "enum": list(FORMATS), "default": "json"}),
        ),
        has_csv=True,
    )
}
