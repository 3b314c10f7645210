"""Every alert about the services, fired by a real fault: each fault in a namespace of its own, under one Prometheus.

The rules are the chart's on a clock that is faster by one factor for every window and every `for`; thresholds stay.
What only promtool tests is said in `NOT_FIRED_HERE`; the alerts about Models and their operator are in the cluster's
tests.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from parts.board_events import Events, moved_by
from parts.helm import CHOSEN, Helm, helm, of_kind
from parts.prometheus import Prometheus, hastened, in_namespace, running_prometheus, until
from parts.troubled_services import TROUBLES, all_of_them, in_trouble

FACTOR = 30
"""An hour is two minutes, five minutes are ten seconds."""
SCRAPE_SECONDS = 2.0
"""Also the longest time for an answer: on a busy machine one takes more than a second."""
WINDOW = "10s"
FIRED_BY = {
    "calm": set(),
    "documents": set(),
    "engine": {"ChatbotEngineRestarting"},
    "gone": {"ChatbotServiceMissing"},
    "search": {"ChatbotSearchDown", "ChatbotToolFailing"},
    "limits": {
        "ChatbotAuditChanged",
        "ChatbotAuditFailing",
        "ChatbotLimitsDegraded",
        "ChatbotTenantPoliciesStale",
    },
    "no-model": {"ChatbotErrorsBurnBudget"},
    "overload": {
        "ChatbotQueueSaturated",
        "ChatbotRefusalsBurnBudget",
        "ChatbotRefusedShareHigh",
        "ChatbotWaitsBurnBudget",
        "ChatbotWaitsLong",
    },
    "store": {"ChatbotErasureFailing", "ChatbotErrorsBurnBudget", "ChatbotStoreFailing"},
    "personas": set(),
    "tools": {"ChatbotToolChanged", "ChatbotToolServerDown"},
    "use": {"ChatbotPricesOld", "ChatbotQuotaNearlySpent", "ChatbotUseUnrecorded"},
    "volume": {"ChatbotVolumeNearlyFull"},
}
"""Namespace, which is the fault -> the alerts that it is there to fire; it may fire more."""
NOT_FIRED_HERE = {
    "ChatbotEngineDecodeErrors": "llama_decode fails on a broken GPU or a bug; no fault from outside makes it",
}
OF_MODELS = {
    "ChatbotCharacterNotReady", "ChatbotChecksumFailed", "ChatbotDownloadStalled", "ChatbotModelNotReady",
    "ChatbotModelRolledBack", "ChatbotModelUnavailable", "ChatbotOperatorMissing", "ChatbotReconcilesFail",
    "ChatbotTenantNotReady",
}  # fmt: skip
"""Fired by tests/cluster/test_alerts_models.py."""
FIRE_SECONDS = 480.0
ONLY_ZERO: dict[str, set[str]] = {
    "services": {"Calls to be confirmed", "Problems of the audit", "Tools turned off"},
    "capacity": {"Cells"},
    "use": {"Summaries of long conversations", "Tokens of summaries"},
    "personas": set(),
}
"""Panels that none of these faults moves; the audit's was found changed before anybody looked at the panel."""


@dataclass(frozen=True)
class Scene:
    """What was seen, after all faults."""

    prometheus: Prometheus
    names: frozenset[str]
    began_at: float
    events: Events


def rendered(with_helm: Helm, *sets: str) -> dict[str, Any]:
    """The rules of the chart, on the faster clock."""
    documents = with_helm.render("chatbot", sets=[*CHOSEN, "monitoring.rules.enabled=true", *sets])
    (rule,) = of_kind(documents, "PrometheusRule")
    return hastened(rule["spec"], FACTOR)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, scale: Callable[[int, int], int]) -> Iterator[Scene]:
    both, office, none = (
        rendered(helm(), *(f"{name}.enabled=false" for name in missing))
        for missing in ((), ("character",), ("office", "character"))
    )
    names = frozenset(rule["alert"] for group in both["groups"] for rule in group["rules"] if "alert" in rule)
    folder = tmp_path_factory.mktemp("troubles")
    with all_of_them(folder) as troubles:
        of = {(): none, ("office",): office, ("office", "character"): both}
        rules = {name: in_namespace(of[trouble.services], name) for name, trouble in troubles.items()}
        targets = {"chatbot": [one for trouble in troubles.values() for one in trouble.targets]}
        with running_prometheus(_made(folder / "prometheus"), targets, rules, SCRAPE_SECONDS) as prometheus:
            until(lambda: len(prometheus.ask("up == 1")) == len(TROUBLES), lambda: prometheus.ask("up"))
            began_at = time.time()
            time.sleep(10)  # windows without a fault in them
            events = Events(prometheus, WINDOW, tuple(ONLY_ZERO), {name: {"namespace": name} for name in TROUBLES})
            calm = {"calm": troubles.pop("calm")}
            with in_trouble(calm):
                with in_trouble(troubles):
                    until(lambda: not _missing(prometheus), lambda: _missing(prometheus), FIRE_SECONDS)
                    events.look_again()
                for board in ONLY_ZERO:
                    events.draw(board, began_at)
                time.sleep(max(0, scale(0, 1200) - (time.time() - began_at)))  # silence is a matter of time
            yield Scene(prometheus, names, began_at, events)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _missing(prometheus: Prometheus) -> dict[str, set[str]]:
    """Alerts that have not fired yet; on a busy machine one may fire and rest again."""
    missing = {name: wanted - prometheus.ever_fired(f'namespace="{name}"') for name, wanted in FIRED_BY.items()}
    return {name: alerts for name, alerts in missing.items() if alerts}


@pytest.mark.scale
@pytest.mark.timeout(1800)
def test_every_alert_is_fired_by_the_fault_that_it_is_about(scene: Scene, figures: Callable[..., None]) -> None:
    fired = {name: scene.prometheus.ever_fired(f'namespace="{name}"') for name in TROUBLES}

    for name, wanted in FIRED_BY.items():
        assert wanted <= fired[name], name
    figures(**{name.replace("-", "_"): sorted(alerts) for name, alerts in fired.items()})


@pytest.mark.scale
@pytest.mark.timeout(1800)
def test_no_alert_fires_under_load_without_a_fault(scene: Scene, figures: Callable[..., None]) -> None:
    lost = scene.prometheus.ask('count_over_time((up{namespace="calm"} == 0)[12h:1s])')
    errors = scene.prometheus.ask('chatbot_requests_total{namespace="calm",outcome="error"} > 0')
    # where the machine is so busy that there is no answer in time, to Prometheus or to a caller, that is no silence
    heard = ({"ChatbotServiceMissing"} if lost else set()) | ({"ChatbotErrorsBurnBudget"} if errors else set())
    assert scene.prometheus.ever_fired('namespace="calm"') <= heard
    asked = scene.prometheus.ask('sum(chatbot_queue_requests_total{namespace="calm",outcome="dispatched"})')
    assert float(asked[0]["value"][1]) > 50
    figures(
        heard=sorted(heard),
        seconds=round(time.time() - scene.began_at),
        hours_of_rules=round((time.time() - scene.began_at) * FACTOR / 3600, 1),
    )


def test_an_alert_fires_for_the_namespace_that_has_the_fault_and_no_other(scene: Scene) -> None:
    only = {"ChatbotStoreFailing": "store", "ChatbotVolumeNearlyFull": "volume", "ChatbotQueueSaturated": "overload"}
    for alert, namespace in only.items():
        found = scene.prometheus.ask(f'count_over_time(ALERTS{{alertstate="firing",alertname="{alert}"}}[12h])')
        assert {sample["metric"]["namespace"] for sample in found} == {namespace}, alert


def test_every_alert_is_fired_somewhere_or_named_as_not(scene: Scene) -> None:
    fired = set().union(*FIRED_BY.values())

    assert fired | OF_MODELS | set(NOT_FIRED_HERE) == scene.names
    assert not fired & OF_MODELS and not fired & set(NOT_FIRED_HERE)


@pytest.mark.parametrize("board", list(ONLY_ZERO))
def test_every_panel_moves_when_something_happens(scene: Scene, board: str, figures: Callable[..., None]) -> None:
    moved = moved_by(scene.events, board)

    assert {title for title, events in moved.items() if not events} <= ONLY_ZERO[board]
    figures(**{board: f"{sum(map(bool, moved.values()))} of {len(moved)} panels moved"})
