"""The claim of a Model: created, grown, owned or not, and judged."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from chatbot_operator.actions import CreateClaim, CreateJob, GrowClaim, Plan, SetOwnership
from chatbot_operator.observed import Claim, Consumer, ConsumerPod, Observed, Refusals
from chatbot_operator.plan import plan
from chatbot_operator.plan.storage import bytes_of
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import Model, ModelSpec, ModelStatus, Source, Storage

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BOUND = Claim("model-llama", "Bound", "20Gi", ("ReadWriteOnce",), owned=False)


def planned(storage: Storage, observed: Observed) -> Plan:
    spec = ModelSpec(Source("hf://o/r/a.gguf", "a" * 64), storage)
    return plan(Model("ns", "llama", "uid", 1, "1", spec, ModelStatus()), observed, NOW)


def says(made: Plan) -> str:
    condition = made.status.conditions[ConditionType.STORAGE_READY]
    return f"{condition.status} {condition.reason}"


def pod(name: str, node: str) -> ConsumerPod:
    return ConsumerPod(name, f"uid-{name}", node, ready=True, annotation="", created_at=NOW)


def consumer(*pods: ConsumerPod) -> Consumer:
    return Consumer("office", "uid", len(pods), len(pods), "", "1", settled=True, pods=pods)


def test_claim_is_created_once() -> None:
    made = planned(Storage(size="20Gi"), Observed())

    assert made.actions == (CreateClaim(),)
    assert says(made) == "False ClaimPending"


def test_claim_that_is_brought_is_awaited_never_created() -> None:
    made = planned(Storage(existing_claim="mine"), Observed())

    assert made.actions == ()
    assert says(made) == "False NoSuchClaim"
    assert [event.reason for event in made.events] == ["NoSuchClaim"]
    assert "Create it" in made.status.conditions[ConditionType.READY].message


def test_refused_claim_says_who_refused_it_and_is_tried_again() -> None:
    refused = Observed(refused=Refusals(claim=(Reason.QUOTA_EXCEEDED, "exceeded quota: storage")))

    made = planned(Storage(size="20Gi"), refused)

    assert CreateClaim() in made.actions
    assert says(made) == "False QuotaExceeded"
    assert made.status.conditions[ConditionType.READY].reason is Reason.QUOTA_EXCEEDED


@pytest.mark.parametrize(
    ("have", "want", "grown"),
    [("20Gi", "30Gi", True), ("20Gi", "20Gi", False), ("20480Mi", "20Gi", False), ("30Gi", "20Gi", False)],
)
def test_claim_grows_and_never_shrinks(have: str, want: str, grown: bool) -> None:
    made = planned(Storage(size=want), Observed(claim=replace(BOUND, size=have)))

    assert (GrowClaim(want) in made.actions) == grown


def test_claim_without_a_volume_is_not_grown() -> None:
    made = planned(Storage(size="30Gi"), Observed(claim=replace(BOUND, phase="Pending")))

    assert GrowClaim("30Gi") not in made.actions


@pytest.mark.parametrize(
    ("policy", "owned", "config_map_owned", "change"),
    [
        ("Retain", False, False, None),
        ("Delete", True, True, None),
        ("Delete", False, False, True),
        ("Delete", True, False, True),
        ("Retain", True, True, False),
    ],
)
def test_ownership_follows_the_deletion_policy(
    policy: str, owned: bool, config_map_owned: bool, change: bool | None
) -> None:
    storage = Storage(size="20Gi", deletion_policy="Delete" if policy == "Delete" else "Retain")
    observed = Observed(claim=replace(BOUND, owned=owned), good_revision="a" * 16, config_map_owned=config_map_owned)

    changes = [action.owned for action in planned(storage, observed).actions if isinstance(action, SetOwnership)]

    assert changes == ([] if change is None else [change])


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (BOUND, "True Bound"),
        (replace(BOUND, phase="Pending"), "False ClaimPending"),
        (replace(BOUND, phase="Lost"), "False VolumeError"),
        (replace(BOUND, phase="Pending", problem=(Reason.NO_STORAGE_CLASS, "no class")), "False NoStorageClass"),
    ],
    ids=["bound", "pending", "lost", "no class"],
)
def test_condition_says_what_the_claim_is(claim: Claim, expected: str) -> None:
    assert says(planned(Storage(size="20Gi"), Observed(claim=claim))) == expected


def test_pending_claim_names_the_class_that_it_waits_for() -> None:
    storage = Storage(size="20Gi", storage_class_name="fast")

    made = planned(storage, Observed(claim=replace(BOUND, phase="Pending")))

    told = made.status.conditions[ConditionType.STORAGE_READY].message
    assert told.startswith(f"Claim {BOUND.name} waits for a volume of class fast.")
    assert "kubectl get storageclass" in told


def test_no_download_is_started_into_a_claim_that_will_never_bind() -> None:
    hopeless = replace(BOUND, phase="Pending", problem=(Reason.NO_STORAGE_CLASS, "no class"))

    made = planned(Storage(size="20Gi"), Observed(claim=hopeless))

    assert not any(isinstance(action, CreateJob) for action in made.actions)
    assert made.status.conditions[ConditionType.READY].reason is Reason.NO_STORAGE_CLASS


def test_pods_on_two_nodes_cannot_share_a_read_write_once_claim() -> None:
    apart = Observed(claim=BOUND, consumers=(consumer(pod("p1", "n1"), pod("p2", "n2")),))

    made = planned(Storage(size="20Gi"), apart)

    assert says(made) == "False ReadWriteOnceAcrossNodes"
    assert "n1, n2" in made.status.conditions[ConditionType.STORAGE_READY].message


@pytest.mark.parametrize("modes", [("ReadWriteMany",), ("ReadWriteOnce", "ReadWriteMany")])
def test_pods_on_two_nodes_share_a_read_write_many_claim(modes: tuple[str, ...]) -> None:
    shared = Observed(claim=replace(BOUND, access_modes=modes), consumers=(consumer(pod("p1", "n1"), pod("p2", "n2")),))

    assert says(planned(Storage(size="20Gi"), shared)) == "True Bound"


@pytest.mark.parametrize(
    ("text", "number"),
    [("1Ki", 1024), ("1.5G", 1_500_000_000), ("1500m", 1.5), ("1e3", 1000), ("2E", 2 * 10**18), ("12", 12)],
)
def test_quantities_are_read(text: str, number: float) -> None:
    assert bytes_of(text) == number


@pytest.mark.parametrize("text", ["", "Gi", "1GiB", "-", "NaN", "inf", "1 Gi"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert bytes_of(text) is None
