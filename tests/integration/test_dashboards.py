"""Every query of the dashboards, asked of a real Prometheus that scraped real services while they answered."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx2
import pytest
from parts.local_process import LocalProcess, local_process
from parts.prometheus import Prometheus, Target, panel_queries, running_prometheus, until
from parts.troubled_services import price_table

WINDOW = "10m"
"""Longer than all of these tests take: some queries have data only while answers are younger than this."""
AWAY = '[{"name": "away", "url": "http://127.0.0.1:9/mcp"}]'
"""A tool server where nobody answers: its series are there all the same."""
QUESTIONS = {
    "office": {"input_data": "안녕하세요!", "user_id": "u", "db_id": "d"},
    "character": {
        "input_data": "안녕!",
        "character_name": "A",
        "greeting": "안녕!",
        "context": "x",
        "user_id": "u",
        "db_id": "d",
    },
}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    folder = tmp_path_factory.mktemp("scraped")
    prices = price_table(folder, datetime.now(UTC).date())
    with local_process(folder, CHATBOT_USAGE_PRICES_FILE=prices, CHATBOT_TOOLS_MCP=AWAY) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(local: LocalProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Scrapes each second, with the label that a ServiceMonitor's target has."""
    target = Target(local.internal.removeprefix("http://"), {"namespace": "chatbot"})
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), {"chatbot": [target]}) as running:
        yield running


@pytest.fixture(scope="module")
def moved(local: LocalProcess, prometheus: Prometheus) -> Prometheus:
    """Prometheus after both services have answered and the answers were scraped."""
    # a rate needs what was before
    until(lambda: len(prometheus.ask("chatbot_slots")) == len(QUESTIONS))
    with httpx2.Client(base_url=local.gateway, timeout=60, trust_env=False) as client:
        for number in range(3):
            for service, question in QUESTIONS.items():
                for accept in ("application/json", "text/event-stream"):
                    body = {**question, "db_id": f"d{number}", "unknown": 1}
                    assert client.post(f"/{service}/Llama", json=body, headers={"Accept": accept}).status_code == 200
    asked = "sum by (service) (chatbot_generation_tokens_total) > 0"
    until(lambda: len(prometheus.ask(asked)) == len(QUESTIONS))
    until(lambda: len(prometheus.ask("rate(chatbot_slots[5s])")) == len(QUESTIONS))
    return prometheus


@pytest.mark.parametrize(("name", "least"), [("services", 12), ("capacity", 12), ("use", 8), ("personas", 10)])
def test_every_query_of_the_services_returns_data_for_both(moved: Prometheus, name: str, least: int) -> None:
    empty = {
        (title, query)
        for title, query in panel_queries(name, WINDOW)
        if {sample["metric"].get("service") for sample in moved.ask(query)} != set(QUESTIONS)
    }

    assert len(panel_queries(name, WINDOW)) >= least
    assert empty == set()


@pytest.mark.parametrize(
    "title", ["Requests", "Store calls", "Ends of generations", "Unknown fields", "How the line was left"]
)
def test_what_happened_is_seen(moved: Prometheus, title: str) -> None:
    (query,) = (query for name, query in panel_queries("services", WINDOW) if name == title)

    until(lambda: sum(float(sample["value"][1]) for sample in moved.ask(query)) > 0)


def test_every_query_of_the_models_can_be_read(moved: Prometheus) -> None:
    for _, query in panel_queries("models", WINDOW):
        moved.ask(query)
