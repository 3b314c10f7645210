"""A real Prometheus on loopback: scrapes what a test names, with the rules of the chart on a faster clock."""

import copy
import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import yaml

from parts.helm import CHARTS
from parts.needs import need

BOARDS = CHARTS / "chatbot/files/dashboards"
START_SECONDS = 60.0
_MILLISECONDS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

Sample = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped, with the labels that the target of a ServiceMonitor has."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Prometheus:
    """A running one."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=url, timeout=30, trust_env=False)

    def ask(self, query: str) -> list[Sample]:
        """Result of an instant query; a query that cannot be read is an error."""
        return self._result("query", query=query)

    def ask_between(self, query: str, begin: float, end: float, step_seconds: float) -> list[Sample]:
        """Result of a range query; times are those of `time.time()`."""
        return self._result("query_range", query=query, start=begin, end=end, step=step_seconds)

    def firing(self, selector: str = "") -> set[str]:
        """Names of the alerts that fire now."""
        found = self.ask(f'ALERTS{{alertstate="firing",{selector}}}')
        return {sample["metric"]["alertname"] for sample in found}

    def ever_fired(self, selector: str) -> set[str]:
        """Names of the alerts that fired at any time of the last hours."""
        found = self.ask(f'count_over_time(ALERTS{{alertstate="firing",{selector}}}[12h])')
        return {sample["metric"]["alertname"] for sample in found}

    def is_up(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx2.HTTPError:
            return False

    def close(self) -> None:
        self._client.close()

    def _result(self, page: str, **parameters: Any) -> list[Sample]:
        answer = self._client.get(f"/api/v1/{page}", params=parameters)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        result: list[Sample] = answer.json()["data"]["result"]
        return result


@contextmanager
def running_prometheus(
    folder: Path,
    targets: Mapping[str, Sequence[Target] | Path],
    rules: Mapping[str, dict[str, Any]] = {},
    interval_seconds: float = 1.0,
) -> Iterator[Prometheus]:
    """One that scrapes and looks at the rules once in an interval.

    Args:
        targets: By job; a path is a file of groups of targets, which may change (`file_sd_configs`).
        rules: Specs of PrometheusRules, by a name of the file.
    """
    program = need("prometheus", "apt-get install prometheus")
    interval = f"{round(interval_seconds * 1000)}ms"
    for name, spec in rules.items():
        (folder / f"{name}.rules.yml").write_text(yaml.safe_dump(spec))
    jobs = [
        {
            "job_name": job,
            "honor_labels": True,  # as the ServiceMonitors say
            **_discovery(some),
        }
        for job, some in targets.items()
    ]
    clock = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    document = {"global": clock, "scrape_configs": jobs, "rule_files": [f"{folder}/*.rules.yml"]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(document))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = (
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
    running = Prometheus(f"http://127.0.0.1:{port}")
    try:
        until(running.is_up, lambda: (folder / "log").read_text())
        yield running
    finally:
        running.close()
        process.terminate()
        process.wait(20)


def _discovery(targets: Sequence[Target] | Path) -> dict[str, Any]:
    if isinstance(targets, Path):
        return {"file_sd_configs": [{"files": [str(targets)]}]}
    return {"static_configs": [{"targets": [one.address], "labels": dict(one.labels)} for one in targets]}


def until(look: Callable[[], object], what: Callable[[], object] = lambda: "", seconds: float = START_SECONDS) -> None:
    """Return when the look returns something true."""
    ends_at = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < ends_at, what()
        time.sleep(0.2)


def hastened(spec: dict[str, Any], factor: int) -> dict[str, Any]:
    """Rules on a clock that goes faster: every window, offset and `for` is shorter by the factor, no threshold is.

    The floors of the burn rates multiply a rate by the seconds of its window, which is shorter too.
    """
    made = copy.deepcopy(spec)
    for group in made["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = _shorter(rule["for"], factor)
            expression = re.sub(r"\[(\w+)\]", lambda m: f"[{_shorter(m[1], factor)}]", rule["expr"])
            expression = re.sub(r"offset (\w+)", lambda m: f"offset {_shorter(m[1], factor)}", expression)
            rule["expr"] = re.sub(r"(_events:rate\w+) \* (\d+)", lambda m: f"{m[1]} * {int(m[2]) / factor}", expression)
    return made


def _shorter(duration: str, factor: int) -> str:
    return f"{int(duration[:-1]) * _MILLISECONDS[duration[-1]] // factor}ms"


def in_namespace(spec: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Rules that were rendered for the namespace `chatbot`, as they would be for another one."""
    text = json.dumps(spec).replace('namespace=\\"chatbot\\"', f'namespace=\\"{namespace}\\"')
    found: dict[str, Any] = json.loads(text)
    return found


def panel_queries(board: str, window: str, **variables: str) -> list[tuple[str, str]]:
    """Title and query of every target of a dashboard, with Grafana's variables filled in; unnamed ones are "all"."""
    found = []
    for panel in json.loads((BOARDS / f"{board}.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            found.append((panel["title"], filled_in(target["expr"], window, variables)))
    return found


def filled_in(expression: str, window: str, variables: Mapping[str, str]) -> str:
    """A query without Grafana's variables."""
    text = expression.replace("$__rate_interval", window)
    return re.sub(r"\$(\w+)", lambda match: variables.get(match[1], ".*"), text)
