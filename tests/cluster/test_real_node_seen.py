"""What a Prometheus saw of the real node: it followed the charts' ServiceMonitors since the install, under their rules.

The rules are on a clock that is ten times faster (parts.kube_site); thresholds stay.
"""

import time
from functools import partial
from pathlib import Path

import pytest
from parts import kube_load
from parts.kube_client import wait_for
from parts.kube_objects import story
from parts.kube_site import Site
from parts.prometheus import panel_queries, until
from parts.toy_gguf import make_toy

pytestmark = pytest.mark.timeout(900, func_only=True)
WINDOW = "30s"
BOARDS = ("services", "capacity", "models")
KILLS = 4
"""ChatbotEngineRestarting wants more than two in its window."""
KILL_ENGINE = """
import contextlib, os, signal
for name in filter(str.isdigit, os.listdir("/proc")):
    with contextlib.suppress(OSError):
        if b"-m\\0chatbot.llm" in open(f"/proc/{name}/cmdline", "rb").read():
            os.kill(int(name), signal.SIGKILL)
            print("killed")
"""


def is_fired(site: Site, alert: str, selector: str = "") -> bool:
    return alert in site.prometheus.ever_fired(selector)


def test_every_target_of_the_charts_is_scraped(site: Site) -> None:
    until(lambda: len(site.prometheus.ask("up == 1")) >= 3, lambda: site.prometheus.ask("up"))

    scraped = {sample["metric"]["job"] for sample in site.prometheus.ask("up == 1")}
    assert scraped == {"chatbot-operator", "chatbot-office", "chatbot-character"}


def test_an_engine_that_is_killed_again_and_again_fires_its_alert(site: Site, figures) -> None:
    pod = site.node.pods("office")[0]["metadata"]["name"]
    restarts = f'sum(chatbot_engine_restarts_total{{pod="{pod}"}})'
    kill = f"kubectl exec -n chatbot {pod} -- python3 -c '{KILL_ENGINE}'"
    is_told = partial(is_fired, site, "ChatbotEngineRestarting", f'pod="{pod}"')
    assert not is_told()

    began = time.monotonic()
    with kube_load.asking(*site.ways) as load:
        for number in range(1, KILLS + 1):
            wait_for(lambda: "killed" in site.node.say(kill))  # between two engines there is none
            until(lambda number=number: float(site.prometheus.ask(restarts)[0]["value"][1]) >= number)
            if is_told():
                break
        until(is_told, lambda: site.prometheus.ask(restarts))
        seconds = round(time.monotonic() - began, 1)
        site.until_rolled_out()

    # told, not cut; after the third death a pod is not ready, and where it is the only one there is none
    assert {one.outcome.split()[0] for one in load.failed} <= {"503", "error", "ConnectionRefusedError"}
    figures(fired_after_s=seconds, **load.summary())


def test_a_file_that_is_not_what_its_sum_says_fires_its_alert(site: Site, tmp_path: Path, figures) -> None:
    good = site.offer(make_toy(tmp_path / "good.gguf", seed=1))
    other = site.offer(make_toy(tmp_path / "other.gguf", seed=3))

    assert not is_fired(site, "ChatbotChecksumFailed")
    began = time.monotonic()
    site.change({**other, "sha256": "1" * 64})
    until(lambda: is_fired(site, "ChatbotChecksumFailed"), lambda: story(site.model()), 180)
    seconds = round(time.monotonic() - began, 1)
    site.until_ready(site.change(good))

    figures(fired_after_s=seconds)


def test_every_query_of_the_dashboards_returned_data(site: Site, figures) -> None:
    now = time.time()
    empty, only_zero, queries = [], set(), 0
    for board in BOARDS:
        for title, query in panel_queries(board, WINDOW):
            found = site.prometheus.ask_between(query, site.began_at, now, max(1.0, (now - site.began_at) / 300))
            queries += 1
            if not found:
                empty.append((board, title, query))
            if not any(float(value) for sample in found for _, value in sample["values"]):
                only_zero.add(title)

    assert empty == []
    figures(queries=queries, only_zero=sorted(only_zero), alerts=sorted(site.prometheus.ever_fired("")))
