"""Two tenants, two Characters, two replicas, behind the gateway: limits hold over both, changes need no restart."""

import concurrent.futures
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import yaml
from parts.kube_client import Document, wait_for
from parts.kube_site import Site

pytestmark = pytest.mark.timeout(900, func_only=True)

A_MINUTE = 12
"""Requests of team-a."""

A_DAY = 2_000
"""Tokens of team-b."""

AT_ONCE = 30
ANSWER_TOKENS = 8
REPLICAS = 2
NABI: Document = {
    "displayName": "나비",
    "description": "{{char}}는 서점에서 사는 말하는 고양이다.",
    "greetings": ["어서 와라냥."],
}


def tenant(name: str, **limits: object) -> Document:
    return _object("Tenant", name, {"limits": {"tenant": limits}})


def character(name: str, **spec: object) -> Document:
    return _object("Character", name, spec)


def _object(kind: str, name: str, spec: Document) -> Document:
    metadata = {"name": name, "namespace": "chatbot"}
    return {"apiVersion": "chatbot.ai/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


CARD = '{"spec": "chara_card_v2", "data": {"name": "Reed", "description": "An old captain.", "first_mes": "Ahoy."}}'
OBJECTS = (
    tenant("team-a", requestsPerMinute=A_MINUTE),
    tenant("team-b", tokensPerDay=A_DAY),
    character("nabi", **NABI),
    character("reed", tenants=["team-a"], cardFrom={"configMapKeyRef": {"name": "cards", "key": "reed.json"}}),
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cards", "namespace": "chatbot"},
        "data": {"reed.json": CARD},
    },
)


def apply(site: Site, *documents: Document) -> None:
    """`kubectl apply`, as a person does it."""
    file = site.node.folder / "applied.yaml"
    file.write_text(yaml.safe_dump_all(documents, allow_unicode=True))
    site.node.say(f"kubectl apply -f {file}")


class Key:
    """Somebody with a key, before the gateway."""

    def __init__(self, site: Site, team: str) -> None:
        create = f"chatbot-keys create --tenant {team} --label {team}"
        self.key = site.node.say(f"kubectl -n chatbot exec deploy/chatbot-character -- {create}").split()[-1]
        self.client = httpx.Client(
            base_url=f"{site.gateway}/character",
            headers={"Authorization": f"Bearer {self.key}", "X-User-ID": "somebody", "Accept-Language": "en"},
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0),  # a choice of replica for each
            timeout=120,
            trust_env=False,
        )

    def ask(self, model: str = "character/nabi") -> httpx.Response:
        said = [{"role": "user", "content": "안녕?"}]
        body = {"model": model, "messages": said, "max_tokens": ANSWER_TOKENS}
        return self.client.post("/v1/chat/completions", json=body)

    def ask_at_once(self, count: int = AT_ONCE) -> list[tuple[int, str]]:
        """Statuses of questions that are asked together, with the code of a refusal.

        `alone`: MongoDB did not answer in time, and the replica counted by its share of the limit (ADR 0016).
        """
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            answers = list(pool.map(lambda _: self.ask(), range(count)))
        alone = ["alone" if "X-Chatbot-Degraded" in one.headers else "" for one in answers]
        codes = [one.json().get("error", {}).get("code") or "" for one in answers]
        return [(one.status_code, codes[n] or alone[n]) for n, one in enumerate(answers)]

    def models(self) -> set[str]:
        return {one["id"] for one in self.client.get("/v1/models").json()["data"]} & {
            "character/nabi",
            "character/reed",
        }

    def revision(self) -> str:
        return str(self.client.get("/characters/nabi").json()["revision"])

    def limits(self) -> dict[str, Any]:
        return {one["policy"]: one for one in self.client.get("/key").json()["limits"]}


@contextmanager
def accounts(site: Site) -> Iterator[None]:
    """Two replicas of the service character alone, whose callers need keys; afterwards everybody may ask again."""
    pepper = "kubectl -n chatbot create secret generic pepper --from-literal=pepper="
    site.node.say(f'{pepper}"$(head -c 32 /dev/urandom | base64 -w0)"')
    try:
        site.upgrade(
            office={"enabled": False},
            character={"replicas": REPLICAS},
            notFound={"enabled": False},
            auth={"allowAnonymous": False, "pepperSecret": "pepper"},
        )
        site.until_rolled_out()
        yield
    finally:
        site.node.say("kubectl -n chatbot delete tnt,chr --all && kubectl -n chatbot delete configmap cards")
        site.take("office", "character", "notFound", "auth")
        site.upgrade()
        site.until_rolled_out()
        site.node.say("kubectl -n chatbot delete secret pepper")


def seconds_until(is_so: Callable[[], object], seconds: float = 180) -> float:
    began = time.monotonic()
    wait_for(lambda: bool(is_so()), seconds)
    return round(time.monotonic() - began, 1)


def lives(site: Site) -> set[tuple[str, int]]:
    """The pods and how often each was started anew."""
    return {
        (pod["metadata"]["uid"], sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ())))
        for pod in site.node.pods("character")
    }


def asked_of_each(site: Site) -> list[int]:
    """Requests that each replica had, by its own count."""
    pages = [
        httpx.get(f"http://{pod['status']['podIP']}:9090/metrics", timeout=30, trust_env=False).text
        for pod in site.node.pods("character")
    ]
    rows = [[row for row in page.splitlines() if row.startswith("chatbot_requests_total{")] for page in pages]
    return [int(sum(float(row.split()[-1]) for row in found if "/v1/chat/completions" in row)) for found in rows]


def test_two_tenants_and_two_characters_over_two_replicas(site: Site, figures: Callable[..., None]) -> None:
    with accounts(site):
        apply(site, *OBJECTS)
        one, other = Key(site, "team-a"), Key(site, "team-b")
        mine = {"character/nabi", "character/reed"}
        came = seconds_until(lambda: one.models() == mine and one.limits() and other.limits())
        seconds_until(lambda: _are_ready(site))
        listing, before, first = _listed(site), lives(site), one.revision()

        # limits hold over both replicas
        assert other.models() == {"character/nabi"}, "reed is not for team-b"
        assert other.ask("character/reed").status_code == 404
        began = time.monotonic()
        a_minute = Counter(one.ask_at_once())
        took = time.monotonic() - began
        a_day = Counter(answer for _ in range(3) for answer in other.ask_at_once())
        spent = other.limits()["tenant-tokens-day"]
        replicas = asked_of_each(site)

        # what is applied takes effect without a restart
        apply(site, tenant("team-a", requestsPerMinute=6_000), character("nabi", **NABI, scenario="비가 온다."))
        changed_character = seconds_until(lambda: one.revision() != first)
        changed_limit = seconds_until(lambda: {status for status, _ in one.ask_at_once()} == {200})
        seconds_until(lambda: _are_ready(site))
        refused = one.client.put("/characters/nabi", json={"display_name": "other"})
        after = lives(site)

    _check_counts(a_minute, a_day, took)
    assert 0 < spent["used"] <= A_DAY
    assert len(replicas) == REPLICAS and min(replicas) > 0, replicas
    assert (refused.status_code, refused.json()["code"]) == (409, "character_read_only")
    assert before == after and len(after) == REPLICAS
    _check_listing(listing, first)
    figures(
        first_policy_and_character_seconds=came,
        character_changed_seconds=changed_character,
        limit_changed_seconds=changed_limit,
        requests_a_minute=dict(a_minute),
        tokens_a_day=dict(a_day),
        tokens_used=spent["used"],
        asked_of_each_replica=replicas,
        listing=listing.splitlines(),
    )


def _check_counts(a_minute: Counter[tuple[int, str]], a_day: Counter[tuple[int, str]], took: float) -> None:
    """What was granted, of the shared counters and besides."""
    assert set(a_minute) - {(200, "alone")} == {(200, ""), (429, "rate_limit_exceeded")}
    assert a_minute[200, ""] <= A_MINUTE + took * A_MINUTE / 60 + 1, (a_minute, took)
    assert A_MINUTE <= a_minute[200, ""] + a_minute[200, "alone"] < 2 * A_MINUTE, (a_minute, took)
    assert set(a_day) - {(200, "alone")} == {(200, ""), (429, "insufficient_quota")}


def _check_listing(listing: str, revision: str) -> None:
    """What `kubectl get tnt,chr` shows."""
    for name, columns in {
        "tenant.chatbot.ai/team-a": ("True", "Applied"),
        "character.chatbot.ai/nabi": ("True", "ko", "Applied", revision),
        "character.chatbot.ai/reed": ("True", "en", "Applied"),
    }.items():
        (row,) = (line.split() for line in listing.splitlines() if line.startswith(name))
        assert set(columns) <= set(row), listing


def _listed(site: Site) -> str:
    return site.node.say("kubectl -n chatbot get tnt,chr")


def _are_ready(site: Site) -> bool:
    """Whether all four are served by both pods, in this generation."""
    found = [*site.node.kube.find("Tenant", "chatbot"), *site.node.kube.find("Character", "chatbot")]
    ready = [
        all(one["generation"] == item["metadata"]["generation"] for one in item["status"]["consumers"])
        and any(one["type"] == "Ready" and one["reason"] == "Applied" for one in item["status"]["conditions"])
        for item in found
        if "status" in item
    ]
    return len(ready) == len(found) == 4 and all(ready)
