"""What every tier shares: the scale of counts, figures of measuring tests, and an honest end of the run."""

import os
from collections import Counter
from collections.abc import Callable

import hypothesis
import pytest

FULL = os.environ.get("CHATBOT_TEST_SCALE") == "full"
NOTHING_MAY_BE_LEFT_OUT = os.environ.get("CI") == "true"
TIERS = ("unit", "contract", "integration", "cluster")
TRIED_AGAIN = ("integration", "cluster")
"""Real processes share a machine with whatever else runs there. What fails for a reason fails again."""
_figures: list[str] = []

# A busy machine is no finding: examples have no time limit of their own.
hypothesis.settings.register_profile("chatbot", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("chatbot")


@pytest.fixture(scope="session")
def scale() -> Callable[[int, int], int]:
    """`scale(few, many)`: few in `make test`, many in `make stress`."""
    return lambda few, many: many if FULL else few


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`figures(name=value, …)`: what a test measured, printed at the end of the run. Never asserted."""

    def note(**values: object) -> None:
        _figures.append(f"{request.node.name}: " + ", ".join(f"{k}={v}" for k, v in values.items()))

    return note


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One second try, told in the end with what failed; none where counts are big, for they are measured."""
    folders = [config.rootpath / "tests" / tier for tier in TRIED_AGAIN if not FULL]
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in folders):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if NOTHING_MAY_BE_LEFT_OUT and _left_out(_reporter(session.config)) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("rerun", []):  # first: who cuts the end off still has what went wrong
        terminalreporter.section(f"TRIED AGAIN: {report.nodeid}")
        terminalreporter.line(report.longreprtext)
    if _figures:
        terminalreporter.section("figures")
        for line in _figures:
            terminalreporter.line(line)
    terminalreporter.section("tiers")
    for tier in TIERS:
        terminalreporter.line(f"{tier}: {_counts(terminalreporter, tier)}")
    for reason, count in _left_out(terminalreporter).items():
        terminalreporter.line(f"LEFT OUT ({count} tests): {reason}")


def _reporter(config: pytest.Config) -> pytest.TerminalReporter:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(reporter, pytest.TerminalReporter)
    return reporter


def _counts(reporter: pytest.TerminalReporter, tier: str) -> str:
    prefix = f"tests/{tier}/"
    counts = {
        outcome: sum(getattr(report, "nodeid", "").startswith(prefix) for report in reporter.stats.get(outcome, []))
        for outcome in ("passed", "failed", "error", "skipped")
    }
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "none ran"


def _left_out(reporter: pytest.TerminalReporter) -> Counter[str]:
    """Reasons of skipped tests. Each says what is missing and how to get it (`parts.needs`)."""
    reports = reporter.stats.get("skipped", [])
    return Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports)
