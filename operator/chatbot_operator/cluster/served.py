"""What a pod says that it serves: `GET :9090/model`, and `/embedding` for vectors. Nothing else is believed."""

import json
from typing import Any

from chatbot_operator.cluster.pages import PodPages
from chatbot_operator.observed import ServedModel

Document = dict[str, Any]
_LONGEST_TEXT = 500


class ModelPages(PodPages[ServedModel]):
    """What pods say that they serve; the arguments are those of `PodPages`."""

    def __init__(self, url: str, timeout_seconds: float, most_at_once: int = 128) -> None:
        super().__init__(url, timeout_seconds, read, most_at_once=most_at_once)


def read(body: bytes) -> ServedModel | None:
    """An answer; None where it is not one."""
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("state"), str):
        return None
    speed, restarts = fields.get("tokens_per_second"), fields.get("engine_restarts")
    return ServedModel(
        state=_text(fields, "state"),
        revision=_text(fields, "revision"),
        expected=_text(fields, "expected"),
        reason=_text(fields, "reason"),
        message=_text(fields, "message"),
        tokens_per_second=float(speed) if isinstance(speed, int | float) else 0.0,
        engine_restarts=restarts if isinstance(restarts, int) else 0,
    )


def _text(fields: Document, name: str) -> str:
    value = fields.get(name)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
