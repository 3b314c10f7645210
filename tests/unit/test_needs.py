"""What a machine lacks is said in one plain line, and is a failure where nothing may be left out."""

import pytest
from parts.needs import need

MISSING = "chatbot-no-such-tool"


def test_tool_that_is_there_is_found() -> None:
    assert need("sh", "it is always there").endswith("/sh")


def test_missing_tool_leaves_the_test_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match=f"{MISSING} is missing; get it: make tool"):
        need(MISSING, "make tool")


def test_missing_tool_fails_where_nothing_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match=f"{MISSING} is missing; get it: make tool"):
        need(MISSING, "make tool")
