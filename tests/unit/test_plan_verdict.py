"""Whose fault it is when a rollout does not go on, and what follows from it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from chatbot_operator.actions import AnnotatePod, AnnotateTemplate, Plan
from chatbot_operator.observed import Consumer, ConsumerPod, Observed, Refusals, ServedModel
from chatbot_operator.plan import plan
from chatbot_operator.reasons import ConditionType, Reason
from parts.model_world import START, World, revision, spec

GOOD, NEW = revision("a"), revision("b")
READY, ROLLED_BACK, ROLLED_OUT = ConditionType.READY, ConditionType.ROLLED_BACK, ConditionType.ROLLED_OUT


def rolling(strategy: str = "RollingUpdate", replicas: int = 1, **rollout: object) -> World:
    """A world that serves `a` and is being brought to `b`; no new pod serves yet."""
    world = World()
    world.ask_for(spec("a", strategy=strategy))
    world.deploy("office", replicas=replicas)
    world.settle()
    world.ask_for(spec("b", strategy=strategy, **rollout))
    while not world.model.status.rollout.consumer:
        world.pass_time()
        world.reconcile()
    return world


def planned(world: World, change: Callable[[Consumer], Consumer]) -> Plan:
    """Plan with a consumer that looks otherwise than the world's."""
    observed = world.observe()
    consumers = tuple(change(consumer) for consumer in observed.consumers)
    return plan(world.model, replace(observed, consumers=consumers), world.now)


def with_pod(served: ServedModel | None, **fields: object) -> Callable[[Consumer], Consumer]:
    """A consumer with one more pod, of the new revision."""
    pod = ConsumerPod("new", "uid-new", "node-1", False, NEW, START, served=served)
    return lambda consumer: replace(consumer, annotation=NEW, pods=(*consumer.pods, replace(pod, **fields)))  # type: ignore[arg-type]


def says(made: Plan, kind: ConditionType) -> str:
    condition = made.status.conditions[kind]
    return f"{condition.status} {condition.reason}"


@pytest.mark.parametrize(
    ("state", "restarts", "verdict"),
    [
        ("failed", 0, "True SmokeNaN"),
        ("loading", 3, "True EngineCrashed"),
        ("loading", 2, "False Never"),
        ("serving", 0, "False Never"),
        ("of a later release", 0, "False Never"),
    ],
)
def test_pod_says_itself_whether_the_model_is_bad(state: str, restarts: int, verdict: str) -> None:
    served = ServedModel(state, "", NEW, "SmokeNaN", "logits are NaN", engine_restarts=restarts)

    made = planned(rolling(), with_pod(served))

    assert says(made, ROLLED_BACK) == verdict


def test_verdict_carries_what_the_pod_said_and_what_to_do() -> None:
    made = planned(rolling(), with_pod(ServedModel("failed", "", NEW, "OutOfMemory", "9.1 GiB of 8.0 GiB")))

    message = made.status.conditions[ROLLED_BACK].message
    assert NEW in message and "Pod new: 9.1 GiB of 8.0 GiB" in message
    assert "smaller quantization" in message
    assert "chatbot.ai/retry" in made.status.conditions[READY].message
    assert made.rollout_result == "rolled_back"
    assert AnnotateTemplate("office", GOOD) in made.actions


def test_reason_that_a_pod_makes_up_is_still_a_failure() -> None:
    made = planned(rolling(), with_pod(ServedModel("failed", "", NEW, "OfALaterRelease", "x" * 5000)))

    assert says(made, ROLLED_BACK) == "True LoadFailed"
    assert len(made.status.conditions[ROLLED_BACK].message) < 1000


def test_failure_that_speaks_of_another_revision_is_no_verdict() -> None:
    made = planned(rolling(), with_pod(ServedModel("failed", "", "c" * 16, "SmokeNaN")))

    assert says(made, ROLLED_BACK) == "False Never"


def test_deaths_before_an_in_place_change_are_not_counted() -> None:
    served = ServedModel("swapping", GOOD, NEW, engine_restarts=40)
    world = rolling("InPlace")

    made = planned(
        world, lambda c: replace(c, pods=tuple(replace(pod, annotation=NEW, served=served) for pod in c.pods))
    )

    assert says(made, ROLLED_BACK) == "False Never"


def test_without_automatic_rollback_it_only_says_so() -> None:
    world = rolling(auto_rollback=False)
    world.faults[NEW] = Reason.SMOKE_NAN
    world.run(60)

    assert world.says(ROLLED_OUT) == "False SmokeNaN"
    assert world.says(ROLLED_BACK) == "False Never"
    assert world.deployment("office").annotation == NEW
    assert world.events.count("SmokeNaN") == 1


def test_deadline_is_the_models_fault_when_nothing_else_is_to_blame() -> None:
    world = rolling()
    world.loads_for_ever.add(NEW)

    world.run(130)

    assert world.says(ROLLED_BACK) == "True DeadlineExceeded"
    assert "120 s" in world.condition(ROLLED_BACK).message
    assert world.served() == {"office": [GOOD]}


def test_deadline_is_forgiven_when_the_release_is_mended() -> None:
    world = rolling()
    world.loads_for_ever.add(NEW)
    world.run(140)
    world.loads_for_ever.clear()

    world.release(world.deployment("office"))
    world.settle()

    assert world.says(READY) == "True Serving"
    assert world.served() == {"office": [NEW]}


def test_proven_fault_is_not_forgiven_by_a_new_release() -> None:
    world = rolling()
    world.faults[NEW] = Reason.SMOKE_NAN
    world.settle()

    world.release(world.deployment("office"))
    world.settle()

    assert world.says(ROLLED_BACK) == "True SmokeNaN"


def test_new_release_during_a_rollout_gets_the_whole_time() -> None:
    world = rolling()
    world.loads_for_ever.add(NEW)
    world.run(100)

    world.release(world.deployment("office"))
    world.run(100)
    assert world.says(ROLLED_BACK) == "False Never"
    assert world.events.count("ReleaseChanged") == 1

    world.loads_for_ever.clear()
    world.settle()
    assert world.results == ["succeeded", "succeeded"], "no verdict in between"


def test_no_verdict_while_the_last_good_revision_fails_too() -> None:
    world = rolling(replicas=2)
    world.faults |= {NEW: Reason.LOAD_FAILED, GOOD: Reason.LOAD_FAILED}
    old = replace(world.observe().consumers[0].pods[0], served=ServedModel("failed", "", GOOD, "LoadFailed"))
    new = ConsumerPod("new", "u", "n", False, NEW, START, served=ServedModel("failed", "", NEW, "LoadFailed"))

    made = planned(world, lambda consumer: replace(consumer, pods=(old, new)))

    assert says(made, ROLLED_BACK) == "False Never"
    assert says(made, ROLLED_OUT) == "False ReleaseChanged"
    assert made.status.rollout.paused_since is not None, "the clock stands"


def test_seconds_of_the_clusters_faults_do_not_count() -> None:
    world = rolling()
    office = world.deployment("office")
    office.problem = (Reason.NODE_LOST, "node is not ready")
    world.run(100)
    office.problem = None
    world.loads_for_ever.add(NEW)
    world.run(100)
    assert world.says(ROLLED_BACK) == "False Never", "200 s have passed, 100 count"
    assert 95 <= world.model.status.rollout.paused_seconds <= 105

    world.run(40)
    assert world.says(ROLLED_BACK) == "True DeadlineExceeded"


def test_serving_that_is_lost_while_it_soaks_starts_the_clock_anew() -> None:
    world = rolling(soak_seconds=60)
    while world.says(ROLLED_OUT) != "False Soaking":
        world.run(1)
    started = world.model.status.rollout.started_at

    made = planned(world, lambda consumer: replace(consumer, settled=False))

    assert says(made, ROLLED_OUT) == "False Progressing"
    assert made.status.rollout.soak_until is None
    assert started is not None and made.status.rollout.started_at == world.now > started


def test_pods_change_in_place_one_after_the_other() -> None:
    world = rolling("InPlace", replicas=3)
    most = 0
    while world.model.status.last_good_revision != NEW:
        world.run(1)
        pods = world.deployment("office").pods
        most = max(most, sum(pod.annotation == NEW and pod.served != NEW for pod in pods))

    assert most == 1


def test_pods_that_serve_nothing_are_all_told_at_once() -> None:
    pods = tuple(
        ConsumerPod(f"p{n}", f"u{n}", "n", False, "", START, served=ServedModel("no_model", "", "")) for n in range(3)
    )
    world = rolling("InPlace")

    made = planned(world, lambda consumer: replace(consumer, pods=pods, replicas=3))

    assert [action.pod for action in made.actions if isinstance(action, AnnotatePod)] == ["p0", "p1", "p2"]


def test_new_consumer_starts_with_the_good_revision_while_another_is_on_its_way() -> None:
    world = rolling()
    world.loads_for_ever.add(NEW)
    world.deploy("zoo")
    world.run(20)

    assert world.served()["zoo"] == [GOOD]
    assert world.deployment("zoo").annotation == "", "its turn has not come, and nothing has to be replaced"


def test_another_model_in_the_middle_of_a_rollout_takes_its_place() -> None:
    world = rolling()
    world.loads_for_ever.add(NEW)
    world.run(10)

    world.ask_for(spec("c"))
    world.settle()

    assert world.served() == {"office": [revision("c")]}
    assert world.results == ["succeeded", "aborted", "succeeded"]


def test_ready_pod_that_does_not_answer_is_told_apart_from_one_that_fails() -> None:
    world = World()
    world.deploy("office")
    world.settle()

    made = planned(world, lambda c: replace(c, pods=tuple(replace(pod, served=None) for pod in c.pods)))

    assert says(made, ConditionType.AVAILABLE) == "Unknown NoAnswer"
    assert says(made, READY) == "False NoAnswer"
    assert "9090" in made.status.conditions[READY].message


def test_pods_that_only_the_operator_cannot_hear_are_no_reason_to_go_back() -> None:
    world = rolling()
    silent = ConsumerPod("new", "u", "n", True, NEW, START)
    world.now += timedelta(seconds=200)

    made = planned(world, lambda consumer: replace(consumer, annotation=NEW, pods=(silent,)))

    assert says(made, ROLLED_OUT) == "False NoAnswer"
    assert says(made, ROLLED_BACK) == "False Never"


def test_nothing_is_done_for_a_model_that_is_being_deleted() -> None:
    world = World()
    made = plan(replace(world.model, deleting=True), Observed(), world.now)

    assert made == Plan(world.model.status)


@pytest.mark.parametrize("strategy", ["RollingUpdate", "InPlace"])
def test_a_right_that_the_operator_lacks_is_no_verdict_on_the_model(strategy: str) -> None:
    world = rolling(strategy)
    refused = Refusals(marks=(Reason.MISSING_RIGHT, 'User "operator" cannot patch resource "pods".'))
    long_after = world.now + timedelta(seconds=1000)

    made = plan(world.model, replace(world.observe(), refused=refused), long_after)

    assert says(made, ROLLED_OUT) == "False MissingRight"
    assert "rollout.inPlace.enabled: true" in made.status.conditions[ROLLED_OUT].message
    assert says(made, ROLLED_BACK) == "False Never"
    assert made.status.rollout.paused_since == long_after, "the deadline's clock stands"


def test_a_good_revision_that_cannot_be_published_is_said() -> None:
    world = World()
    world.deploy("office")
    world.settle()
    refused = Refusals(good_revision=(Reason.MISSING_RIGHT, 'User "operator" cannot patch resource "configmaps".'))

    made = plan(world.model, replace(world.observe(), refused=refused), world.now)

    assert says(made, READY) == "False MissingRight"
