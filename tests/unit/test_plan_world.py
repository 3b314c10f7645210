"""Planning against a small cluster: it comes to an end, and to the same end whenever the operator is killed."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from chatbot_operator.plan import plan
from chatbot_operator.reasons import ConditionType, Reason
from hypothesis import given, settings
from hypothesis import strategies as st
from parts.model_world import World, revision, spec

READY, ROLLED_BACK, ROLLED_OUT = ConditionType.READY, ConditionType.ROLLED_BACK, ConditionType.ROLLED_OUT
STRATEGIES = ["RollingUpdate", "InPlace"]


def serving(letter: str = "a", strategy: str = "RollingUpdate", **deployments: int) -> World:
    """A world whose consumers serve the model `letter`."""
    world = World()
    world.ask_for(spec(letter, strategy=strategy))
    for name, replicas in (deployments or {"office": 1}).items():
        world.deploy(name, replicas=replicas)
    world.settle()
    assert world.says(READY) == "True Serving", world.story()
    return world


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_first_model_is_downloaded_served_and_good(strategy: str) -> None:
    world = serving("a", strategy, office=2, character=1)

    assert world.served() == {"character": [revision("a")], "office": [revision("a")] * 2}
    assert world.model.status.last_good_revision == world.good_revision == revision("a")
    assert world.results == ["succeeded"]
    assert len(world.created_jobs) == 1


def test_model_without_consumer_is_ready_once_it_is_there() -> None:
    world = World()
    world.settle()

    assert world.says(READY) == "True NoConsumer"
    assert world.says(ConditionType.VERIFIED) == "True Verified"
    assert world.model.status.last_good_revision == "", "nothing served it yet"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_first_model_is_served_beside_a_consumer_that_cannot_run(strategy: str) -> None:
    world = World()
    world.ask_for(spec("a", strategy=strategy))
    world.deploy("character")
    world.deploy("office")
    world.deployment("character").problem = (Reason.UNSCHEDULABLE, "0/1 nodes are available.")

    world.run(60)

    assert world.says(READY) == "False Unschedulable"
    assert world.served()["office"] == [revision("a")], "there is nothing to go back to, so nothing to wait for"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_another_model_replaces_the_first(strategy: str) -> None:
    world = serving("a", strategy, office=2, character=1)

    world.ask_for(spec("b", strategy=strategy))
    world.settle()

    assert world.says(READY) == "True Serving"
    assert world.served() == {"character": [revision("b")], "office": [revision("b")] * 2}
    assert [entry.state for entry in world.model.status.history] == ["Good", "Good"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("fault", [Reason.SMOKE_NAN, Reason.LOAD_FAILED, Reason.MODEL_MISSING])
def test_bad_model_is_taken_back_everywhere_and_not_tried_again(strategy: str, fault: Reason) -> None:
    world = serving("a", strategy, office=2, character=1)
    world.faults[revision("b")] = fault

    world.ask_for(spec("b", strategy=strategy))
    world.settle()

    assert world.says(ROLLED_BACK) == f"True {fault}"
    assert world.says(READY) == "False RolledBack"
    assert world.says(ConditionType.AVAILABLE) == "True Serving"
    assert world.served() == {"character": [revision("a")], "office": [revision("a")] * 2}
    assert world.results == ["succeeded", "rolled_back"]
    assert world.good_revision == revision("a")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_replicas_never_stop_serving_while_a_bad_model_comes_and_goes(strategy: str) -> None:
    world = serving("a", strategy, office=2)
    world.faults[revision("b")] = Reason.SMOKE_EMPTY
    world.ask_for(spec("b", strategy=strategy))

    fewest = 2
    for _ in range(120):
        world.pass_time()
        world.reconcile()
        fewest = min(fewest, sum(pod.served == revision("a") for pod in world.deployment("office").pods))

    assert world.says(ROLLED_BACK) == "True SmokeEmpty"
    assert fewest >= 1


def test_verdict_on_the_second_consumer_takes_the_first_back_too() -> None:
    world = serving("a", "RollingUpdate", character=1, office=1)
    world.ask_for(spec("b"))
    while world.model.status.rollout.consumer != "office":
        world.pass_time()
        world.reconcile()
    assert world.served()["character"] == [revision("b")]

    world.faults[revision("b")] = Reason.OUT_OF_MEMORY
    world.settle()

    assert world.says(ROLLED_BACK) == "True OutOfMemory"
    assert world.served() == {"character": [revision("a")], "office": [revision("a")]}


def test_retry_annotation_tries_the_bad_revision_again() -> None:
    world = serving("a")
    world.faults[revision("b")] = Reason.SMOKE_NAN
    world.ask_for(spec("b"))
    world.settle()
    del world.faults[revision("b")]

    world.retry("1")
    world.settle()

    assert world.says(READY) == "True Serving"
    assert world.says(ROLLED_BACK) == "False Never"
    assert world.served() == {"office": [revision("b")]}


def test_going_back_in_the_spec_needs_no_rollback() -> None:
    world = serving("a")
    world.faults[revision("b")] = Reason.SMOKE_NAN
    world.ask_for(spec("b"))
    world.settle()

    world.ask_for(spec("a"))
    world.settle()

    assert world.says(READY) == "True Serving"
    assert world.says(ROLLED_BACK) == "False Never"


def test_slow_model_is_taken_back_after_the_second_look() -> None:
    world = serving("a")
    world.speeds[revision("b")] = 3.0

    world.ask_for(spec("b", min_tokens_per_second=10.0, soak_seconds=0))
    world.settle()

    assert world.says(ROLLED_BACK) == "True TooSlow"
    assert "3.0 tokens per second" in world.condition(ROLLED_BACK).message


def test_first_model_that_is_bad_stays_where_it_is() -> None:
    world = World(faults={revision("a"): Reason.SMOKE_NAN})
    world.deploy("office")
    for _ in range(120):
        world.pass_time(2)
        world.reconcile()

    assert world.says(READY) == "False SmokeNaN"
    assert world.says(ROLLED_BACK) == "False Never"
    assert world.deployment("office").annotation == revision("a")
    assert world.results == []
    assert world.events.count("SmokeNaN") == 1


def test_cluster_fault_stops_the_clock_and_the_rollout_goes_on_by_itself() -> None:
    world = serving("a")
    office = world.deployment("office")
    world.ask_for(spec("b", progress_deadline_seconds=120))
    office.problem = (Reason.UNSCHEDULABLE, "0/1 nodes are available: 1 Insufficient nvidia.com/gpu")
    for _ in range(90):
        world.pass_time(2)
        world.reconcile()
    assert world.says(ROLLED_OUT) == "False Unschedulable"
    assert world.says(ROLLED_BACK) == "False Never"
    assert office.annotation == revision("b"), "180 s of 120, but none of them counted"

    office.problem = None
    world.settle()

    assert world.says(READY) == "True Serving"


def test_cluster_fault_of_twice_the_deadline_goes_back_for_a_while() -> None:
    world = serving("a")
    office = world.deployment("office")
    world.ask_for(spec("b", progress_deadline_seconds=120))
    office.problem = (Reason.IMAGE_PULL, "ErrImagePull")
    for _ in range(150):
        world.pass_time(2)
        world.reconcile()
    assert office.annotation == revision("a")
    assert world.says(READY) == "False ImagePull"
    assert world.says(ROLLED_BACK) == "False Never"

    office.problem = None
    world.settle(1200)

    assert world.says(READY) == "True Serving"
    assert world.results == ["succeeded", "aborted", "succeeded"]


def test_paused_starts_no_rollout_and_goes_on_when_it_ends() -> None:
    world = serving("a")

    world.ask_for(spec("b", paused=True))
    world.settle()
    assert world.says(READY) == "False Paused"
    assert world.says(ConditionType.DOWNLOADED) == "True Downloaded"
    assert world.served() == {"office": [revision("a")]}

    world.ask_for(spec("b"))
    world.settle()
    assert world.served() == {"office": [revision("b")]}


def test_running_rollout_goes_on_when_it_is_paused() -> None:
    world = serving("a")
    world.ask_for(spec("b"))
    while not world.model.status.rollout.consumer:
        world.pass_time()
        world.reconcile()

    world.ask_for(spec("b", paused=True))
    world.settle()

    assert world.served() == {"office": [revision("b")]}


def test_annotation_that_somebody_else_changed_is_set_again() -> None:
    world = serving("a")

    world.carry_out_foreign_undo()
    world.settle()

    assert world.deployment("office").annotation == revision("a")
    assert world.events.count("AnnotationRestored") == 1
    assert world.says(READY) == "True Serving"


def test_change_of_strategy_waits_for_the_next_model() -> None:
    world = serving("a", "RollingUpdate")
    made = world.deployment("office").made

    world.ask_for(spec("a", strategy="InPlace"))
    world.settle()
    assert world.deployment("office").made == made, "no pod was replaced for it"
    assert world.events.count("StrategyChanged") == 1

    world.ask_for(spec("b", strategy="InPlace"))
    world.settle()
    assert world.deployment("office").annotation == ""
    assert world.served() == {"office": [revision("b")]}


def test_model_made_anew_over_its_volume_goes_back_to_what_it_left() -> None:
    old = serving("a")
    world = World(claim=old.claim, good_revision=old.good_revision, deployments=old.deployments)
    world.model = replace(world.model, uid="uid-2", spec=spec("b"))
    world.faults[revision("b")] = Reason.ENGINE_CRASHED

    world.settle()

    assert world.says(ROLLED_BACK) == "True EngineCrashed"
    assert world.served() == {"office": [revision("a")]}


def test_warns_that_requests_are_refused_when_there_is_no_second_pod() -> None:
    world = World()
    world.deploy("office", surge=False)
    world.settle()
    assert "ServiceInterrupted" not in world.events, "nobody was served before the first model"

    world.ask_for(spec("b"))
    world.settle()

    assert world.events.count("ServiceInterrupted") == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("bad", [False, True], ids=["good", "bad"])
def test_same_end_wherever_the_operator_is_killed(strategy: str, bad: bool, figures: Callable[..., None]) -> None:
    def run(kill_at: int | None) -> World:
        world = World(kill_at=kill_at)
        world.model = replace(world.model, spec=spec("a", strategy=strategy))
        world.deploy("office", replicas=2)
        world.deploy("character")
        world.settle_killing()
        world.faults |= {revision("b"): Reason.SMOKE_NAN} if bad else {}
        world.ask_for(spec("b", strategy=strategy))
        world.settle_killing()
        return world

    undisturbed = run(None)
    points = undisturbed.writes
    for kill_at in range(points):
        killed = run(kill_at)
        assert killed.end_state() == undisturbed.end_state(), f"killed after write {kill_at}"
    figures(kill_points=points)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from("abc"), st.sampled_from(STRATEGIES)),
        st.tuples(st.just("fault"), st.sampled_from("bc"), st.sampled_from([Reason.SMOKE_NAN, None])),
        st.tuples(st.just("scale"), st.sampled_from(["office", "character"]), st.integers(0, 3)),
        st.tuples(st.just("release"), st.sampled_from(["office", "character"]), st.just("")),
        st.tuples(st.just("trouble"), st.sampled_from(["office", "character"]), st.booleans()),
        st.tuples(st.just("undo"), st.just(""), st.just("")),
        st.tuples(st.just("retry"), st.sampled_from("12"), st.just("")),
        st.tuples(st.just("wait"), st.integers(1, 400), st.just("")),
        st.tuples(st.just("kill"), st.integers(0, 5), st.just("")),
    ),
    max_size=12,
)


def break_or_mend(world: World, letter: str, fault: object) -> None:
    if fault is None:
        world.faults.pop(revision(letter), None)
    elif revision(letter) != world.model.status.last_good_revision:
        world.faults[revision(letter)] = Reason.SMOKE_NAN


def trouble(world: World, name: str, is_there: object) -> None:
    world.deployment(name).problem = (Reason.UNSCHEDULABLE, "no node") if is_there else None


def undo(world: World, _one: str, _two: object) -> None:
    world.carry_out_foreign_undo()
    world.good_revision = None


def scale(world: World, name: str, replicas: object) -> None:
    world.deployment(name).replicas = int(str(replicas))


def kill(world: World, writes: str, _two: object) -> None:
    world.pass_time()
    world.reconcile(int(writes))


PLAY: dict[str, Callable[[World, str, object], None]] = {
    "ask": lambda world, letter, strategy: world.ask_for(spec(letter, strategy=strategy)),
    "fault": break_or_mend,
    "scale": scale,
    "release": lambda world, name, _: world.release(world.deployment(name)),
    "trouble": trouble,
    "undo": undo,
    "retry": lambda world, value, _: world.retry(value),
    "wait": lambda world, seconds, _: world.run(int(seconds)),
    "kill": kill,
}


def test_clock_of_a_rollout_that_waited_for_the_cluster_goes_with_its_spec() -> None:
    world = World()
    world.deploy("office")
    world.run(60)
    trouble(world, "office", is_there=True)
    world.ask_for(spec("b"))
    for _ in range(6):
        world.run(400)
    assert world.model.status.rollout.paused_since is not None, world.story()

    world.ask_for(spec("a"))
    trouble(world, "office", is_there=False)
    world.settle()

    assert world.model.status.rollout.paused_since is None
    assert world.condition(READY).status == "True"


@given(steps=STEPS)
@settings(max_examples=60)
def test_whatever_happens_it_comes_to_rest_and_serves_something_good(
    steps: list[tuple[str, object, object]],
) -> None:
    world = World()
    world.deploy("office", replicas=2)
    world.deploy("character")
    world.run(60)
    for what, one, two in steps:
        PLAY[what](world, str(one), two)
    for deployment in world.deployments:
        deployment.problem = None

    world.settle(3000)

    again = plan(world.model, world.observe(), world.now)
    assert (again.actions, again.events, again.rollout_result) == ((), (), "")
    assert again.status == world.model.status
    status = world.model.status
    wanted = status.revision if world.condition(READY).status == "True" else status.last_good_revision
    for deployment in world.deployments:
        if wanted not in world.faults:
            assert {pod.served for pod in deployment.pods} <= {wanted}, world.story()
    assert world.says(ROLLED_BACK).startswith("True") == (world.condition(READY).status == "False"), world.story()
