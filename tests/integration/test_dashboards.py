"""Every query of the dashboards, asked of a real Prometheus that scraped real services while they answered."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from parts.local_process import LocalProcess, local_process
from parts.needs import need

FOLDER = Path(__file__).parents[2] / "charts/chatbot/files/dashboards"
WINDOW = "10s"
START_SECONDS = 40
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


def queries(name: str) -> list[tuple[str, str]]:
    """Title and query of every target, with Grafana's variables filled in."""
    dashboard = json.loads((FOLDER / f"{name}.json").read_text())
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", WINDOW)
            found.append(
                (panel["title"], text.replace("$namespace", ".*").replace("$service", ".*").replace("$model", ".*"))
            )
    return found


class Prometheus:
    """A running one."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=url, timeout=30, trust_env=False)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Result of an instant query; a query that cannot be read is an error."""
        answer = self._client.get("/api/v1/query", params={"query": query})
        assert answer.status_code == 200, f"{query}: {answer.text}"
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def close(self) -> None:
        self._client.close()

    def is_up(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx2.HTTPError:
            return False


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    with local_process(tmp_path_factory.mktemp("scraped")) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(local: LocalProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Scrapes each second, with the label that a ServiceMonitor's target has."""
    program, folder = need("prometheus", "apt-get install prometheus"), tmp_path_factory.mktemp("prometheus")
    target = {"targets": [local.internal.removeprefix("http://")], "labels": {"namespace": "chatbot"}}
    scrape = {"job_name": "chatbot", "honor_labels": True, "static_configs": [target]}
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]})
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    running = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_for(running.is_up, lambda: (folder / "log").read_text())
        yield running
    finally:
        running.close()
        process.terminate()
        process.wait(20)


def wait_for(look: Any, what: Any = lambda: "") -> None:
    ends_at = time.monotonic() + START_SECONDS
    while not look():
        assert time.monotonic() < ends_at, what()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def moved(local: LocalProcess, prometheus: Prometheus) -> Prometheus:
    """Prometheus after both services have answered and the answers were scraped."""
    # a rate needs what was before
    wait_for(lambda: len(prometheus.ask("chatbot_slots")) == len(QUESTIONS))
    with httpx2.Client(base_url=local.gateway, timeout=60, trust_env=False) as client:
        for number in range(3):
            for service, question in QUESTIONS.items():
                for accept in ("application/json", "text/event-stream"):
                    body = {**question, "db_id": f"d{number}", "unknown": 1}
                    assert client.post(f"/{service}/Llama", json=body, headers={"Accept": accept}).status_code == 200
    asked = "sum by (service) (chatbot_generation_tokens_total) > 0"
    wait_for(lambda: len(prometheus.ask(asked)) == len(QUESTIONS))
    wait_for(lambda: len(prometheus.ask("rate(chatbot_slots[5s])")) == len(QUESTIONS))
    return prometheus


@pytest.mark.parametrize("name", ["services", "capacity"])
def test_every_query_of_the_services_returns_data_for_both(moved: Prometheus, name: str) -> None:
    empty = {
        (title, query)
        for title, query in queries(name)
        if {sample["metric"].get("service") for sample in moved.ask(query)} != set(QUESTIONS)
    }

    assert len(queries(name)) >= 12
    assert empty == set()


@pytest.mark.parametrize(
    "title", ["Requests", "Store calls", "Ends of generations", "Unknown fields", "How the line was left"]
)
def test_what_happened_is_seen(moved: Prometheus, title: str) -> None:
    (query,) = (query for name, query in queries("services") if name == title)

    wait_for(lambda: sum(float(sample["value"][1]) for sample in moved.ask(query.replace(f"[{WINDOW}]", "[10m]"))) > 0)


def test_every_query_of_the_models_can_be_read(moved: Prometheus) -> None:
    for _, query in queries("models"):
        moved.ask(query)
