"""What every tier shares: the scale of counts, and one line of figures per measuring test."""

import os
from collections.abc import Callable

import pytest

FULL = os.environ.get("CHATBOT_TEST_SCALE") == "full"
_figures: list[str] = []


@pytest.fixture
def scale() -> Callable[[int, int], int]:
    """`scale(few, many)`: few in `make test`, many in `make stress`."""
    return lambda few, many: many if FULL else few


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`figures(name=value, …)`: what a test measured, printed at the end of the run. Never asserted."""

    def note(**values: object) -> None:
        _figures.append(f"{request.node.name}: " + ", ".join(f"{k}={v}" for k, v in values.items()))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures")
        for line in _figures:
            terminalreporter.line(line)
