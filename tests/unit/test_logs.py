"""Log lines: JSON, one per record, only fields of the list, and where an error happened but not what it said."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
from chatbot.server.observe.logs import JsonLines, set_up_logs


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonLines().format(record)
    assert "\n" not in text
    parsed: dict[str, object] = json.loads(text)
    return parsed


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("chatbot.x", logging.INFO, __file__, 1, message, (), None)
    made.__dict__.update(extra)
    return made


def test_writes_known_fields_only() -> None:
    written = line(record("request", status=200, route="/Llama", user_id="canary", body="canary"))

    assert (written["message"], written["status"], written["route"]) == ("request", 200, "/Llama")
    assert "canary" not in json.dumps(written)


def test_line_ends_and_escapes_do_not_forge_lines() -> None:
    assert line(record("a\nb\r\x1b[31m\u2028"))["message"] == "a\nb\r\x1b[31m\u2028"


def test_an_error_tells_where_and_not_what() -> None:
    try:
        raise ValueError("canary")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()

    written = line(made)

    assert written["error"] == "ValueError"
    assert "test_an_error_tells_where_and_not_what" in str(written["where"])
    assert "canary" not in json.dumps(written)


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)


def test_all_loggers_write_to_one_stream(restored: None) -> None:
    stream = io.StringIO()
    set_up_logs("info", stream)

    logging.getLogger("uvicorn.error").warning("odd")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.access").info("GET /canary")
    logging.getLogger("httpx").info("GET /canary")
    logging.getLogger("chatbot.x").info("ours")

    written = [json.loads(text)["message"] for text in stream.getvalue().splitlines()]
    assert written == ["odd", "ours"]
