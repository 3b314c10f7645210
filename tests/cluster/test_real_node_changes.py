"""Another model, a bad one, and what may happen to pods, on the real node under load: nobody is to notice.

Half of the clients ask through the gateway, half the Service; none tries again. `CHATBOT_TEST_SCALE=full` asks at least
a thousand times during each disturbance, and streams for 20 s across ten changes of model.
"""

import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from parts import kube_load
from parts.kube_client import wait_for
from parts.kube_objects import condition, story
from parts.kube_site import Site
from parts.toy_gguf import make_crashing_toy, make_slow_toy, make_toy

pytestmark = pytest.mark.timeout(1800, func_only=True)
BAD = {"nan": "SmokeNaN", "mute": "SmokeEmpty", "crash": "EngineCrashed"}
FULL = os.environ.get("CHATBOT_TEST_SCALE") == "full"
LONG_TOKENS = 2000
"""Of a stream that takes more than 20 s on two cores."""
TWO = {"replicas": 2, "gpu": {"spare": True}}


@pytest.fixture
def many(scale) -> dict[str, Any]:
    """How clients ask whose number counts: the more the shorter."""
    return {"clients": scale(4, 8), "answer_tokens": scale(0, 8), "pause_seconds": scale(3, 1) / 10}


def good_one(folder: Path, seed: int = 1) -> Path:
    return make_toy(folder / f"{seed}.gguf", seed=seed)


def bad_one(folder: Path, fault: str) -> Path:
    if fault == "crash":
        return make_crashing_toy(folder / "bad.gguf")
    return make_toy(folder / "bad.gguf", seed=2, **{fault: True})


@pytest.mark.scale
def test_one_replica_changes_its_model_in_place_and_nobody_fails(site: Site, tmp_path: Path, scale, figures) -> None:
    seconds = []

    with kube_load.asking(*site.ways) as load:
        for seed in range(1, 1 + scale(1, 10)):
            source = site.offer(good_one(tmp_path, seed))
            seconds.append(site.until_ready(site.change(source)))
        wait_for(lambda: len(load.asked) >= scale(10, 1000), 900)

    figures(change_s=seconds, **load.summary())
    assert load.failed == []
    assert kube_load.page(site.office, "/info")["model"]["revision"] == source["sha256"][:16]


def test_the_only_replica_is_evicted_and_everybody_is_answered_again(site: Site, many, figures) -> None:
    with kube_load.asking(*site.ways, **many) as load:
        wait_for(lambda: load.answered >= 10, 120)
        evict(site)
        site.until_rolled_out()
        rolled_out_at = time.monotonic() - load.began_at
        wait_for(lambda: all_well(load, rolled_out_at), 120, load.summary)

    ended = [one.at + one.seconds for one in load.failed]
    figures(without_an_answer_s=round(max(ended) - min(ended), 1) if ended else 0.0, **load.summary())


def all_well(load: kube_load.Load, since: float) -> bool:
    """Whether the last twenty since a moment were answered: routes follow a pod's readiness a little later."""
    asked = [one for one in load.asked if one.at > since]
    return len(asked) >= 20 and all(one.outcome == "ok" for one in asked[-20:])


def test_the_gateway_holds_no_stream_back(site: Site) -> None:
    """What a buffering gateway would never show: the first token is there while the answer is still being made."""
    wait_for(lambda: seen_while_made(f"{site.gateway}/office", site.office) >= 1, 120)


def seen_while_made(way: str, service: str) -> int:
    """Requests under way at a service when the first token of a long stream is there; the rest is read, too."""
    parts = urlsplit(way)
    body = json.dumps(kube_load.completion(1500, is_stream=True))
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=240)) as connection:
        connection.request("POST", f"{parts.path}/v1/chat/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers.get_content_type()) == (200, "text/event-stream")
        next((line for line in iter(answer.readline, b"") if b'"content":' in line), None)
        active = kube_load.page(service, "/performance")["active_requests"]
        assert answer.read().rstrip().endswith(b"data: [DONE]")
    return int(active)


@pytest.mark.parametrize("fault", BAD)
def test_a_model_that_only_the_engine_finds_bad_is_taken_back(site: Site, tmp_path: Path, fault: str, figures) -> None:
    before = site.offer(good_one(tmp_path))
    good = site.change(before)
    site.until_ready(good)
    source = site.offer(bad_one(tmp_path, fault))

    with kube_load.asking(site.character) as load:
        began = time.monotonic()
        revision = site.change(source)
        wait_for(lambda: taken_back(site, revision) == BAD[fault], 180, lambda: story(site.model()))
        seconds = round(time.monotonic() - began, 1)
        wait_for(lambda: site.says("Available") == "True/Serving", 120, lambda: story(site.model()))
        wait_for(lambda: kube_load.page(site.character, "/info")["model"]["revision"] == good, 120)

    figures(rolled_back_s=seconds, **load.summary())
    assert load.failed == []
    wait_for(lambda: "ChatbotModelRolledBack" in site.prometheus.firing('model="small"'), 60)
    site.until_ready(site.change(before))


def taken_back(site: Site, revision: str) -> str:
    """Why a revision was taken back; "" while it was not."""
    found = condition(site.model(), "RolledBack")
    return str(found["reason"]) if found.get("status") == "True" and revision in found["message"] else ""


@pytest.fixture
def two(site: Site, tmp_path: Path, scale) -> Iterator[None]:
    """Two replicas of office, with room for long streams where those are asked for."""
    is_long = scale(0, 1)
    site.upgrade(office={**TWO, **({"engine": {"contextTokens": 8192, "slots": 4}} if is_long else {})})
    site.until_rolled_out()
    yield
    if is_long:
        site.upgrade(office=TWO)
        site.until_ready(site.change(site.offer(good_one(tmp_path))), 400)
        site.until_rolled_out()


@pytest.mark.scale
@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("strategy", ["RollingUpdate", "InPlace"][: 2 if FULL else 1])
def test_two_replicas_change_their_model_and_nobody_fails(
    site: Site, tmp_path: Path, strategy: str, scale, figures
) -> None:
    make = scale(0, 1) and (lambda path, seed: make_slow_toy(path, context=8192, seed=seed, endless=True))
    seconds = []
    site.rollout(strategy=strategy)  # is used from the next change of model on
    tokens = {"answer_tokens": scale(0, 8), "stream_tokens": scale(400, LONG_TOKENS)}
    if make:
        site.until_ready(site.change(site.offer(make(tmp_path / "first.gguf", 30))), 600)

    with kube_load.asking(*site.ways, clients=scale(4, 6), streams=scale(1, 4), **tokens) as load:
        for seed in range(10, 10 + scale(1, 10)):
            path = tmp_path / f"{seed}.gguf"
            source = site.offer(make(path, seed) if make else make_toy(path, seed=seed))
            seconds.append(site.until_ready(site.change(source), 600))
            path.unlink()
        wait_for(lambda: len(load.asked) >= scale(20, 1000), 600)

    figures(changes=len(seconds), change_s=seconds, **load.summary())
    assert load.failed == []


@pytest.fixture
def spare(site: Site) -> None:
    """A second replica of office, whatever ran before."""
    site.upgrade(office=TWO)
    site.until_rolled_out()


@pytest.mark.usefixtures("spare")
def test_an_evicted_pod_takes_nobody_with_it(site: Site, many, scale, figures) -> None:
    with kube_load.asking(*site.ways, **many) as load:
        evict(site)
        site.until_rolled_out()
        wait_for(lambda: len(load.asked) >= scale(20, 1000), 900)

    figures(**load.summary())
    assert load.failed == []


def evict(site: Site) -> None:
    """Ask for the eviction of a pod of office, and wait until it is gone."""
    pod = site.node.pods("office")[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/chatbot/pods/{pod}/eviction"
    site.node.kube.call("POST", path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}})
    wait_for(lambda: not site.node.kube.is_there("Pod", "chatbot", pod), 180)


@pytest.mark.usefixtures("spare")
def test_a_killed_pod_takes_only_what_it_was_answering(site: Site, many, scale, figures) -> None:
    pod = site.node.pods("office")[0]["metadata"]["name"]

    with kube_load.asking(*site.ways, **many) as load:
        wait_for(lambda: load.answered >= scale(5, 500), 600)
        killed_at = time.monotonic() - load.began_at
        site.node.say(f"kubectl delete pod {pod} -n chatbot --grace-period=0 --force")
        site.until_rolled_out()
        settled_at = time.monotonic() - load.began_at
        wait_for(lambda: sum(one.at > settled_at for one in load.asked) >= scale(10, 500), 900)

    late = [one for one in load.failed if one.at > settled_at]
    assert late == []
    figures(failed_for_s=round(max([one.at - killed_at for one in load.failed], default=0.0), 1), **load.summary())


@pytest.mark.usefixtures("spare")
def test_upgrade_and_rollback_keep_what_people_scaled_and_lose_nobody(site: Site, many, scale, figures) -> None:
    site.node.say("kubectl scale deployment/chatbot-character -n chatbot --replicas=2")
    served = kube_load.page(site.office, "/info")["model"]["revision"]
    site.node.tag_image("chatbot:0.1.0", "chatbot:next")

    with kube_load.asking(*site.ways, **many) as load:
        site.upgrade(image={"tag": "next"})
        site.until_rolled_out()
        wait_for(lambda: len(load.asked) >= scale(10, 1000), 900)
        upgraded = len(load.asked)
        site.node.say("helm rollback chatbot -n chatbot")
        site.until_rolled_out()
        wait_for(lambda: len(load.asked) - upgraded >= scale(10, 1000), 900)

    site.take("image")
    figures(upgrade=upgraded, **load.summary())
    assert load.failed == []
    assert site.node.kube.get("Deployment", "chatbot", "chatbot-character")["spec"]["replicas"] == 2
    assert kube_load.page(site.office, "/info")["model"]["revision"] == served
