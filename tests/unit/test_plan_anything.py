"""Whatever a status and a cluster look like, planning ends in a valid status that speaks of listed reasons."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chatbot_operator.observed import (
    Claim,
    Consumer,
    ConsumerPod,
    DownloadJob,
    Observed,
    Progress,
    Refusals,
    ServedModel,
)
from chatbot_operator.plan import phase, plan, plan_blind, status_from_dict, status_to_dict
from chatbot_operator.plan.condition_list import CONDITIONS
from chatbot_operator.plan.texts import EVENT_TEXTS, TEXTS
from chatbot_operator.reasons import CLUSTER_FAULTS, ConditionType, EventReason, Reason
from chatbot_operator.resources import (
    Condition,
    ConsumerStatus,
    DownloadStatus,
    HistoryEntry,
    Model,
    ModelSpec,
    ModelStatus,
    Rollout,
    RolloutStatus,
    Source,
    Storage,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from parts.model_world import START, revision, sha

REVISIONS = st.sampled_from(["", revision("a"), revision("b"), "not-a-revision"])
MOMENTS = st.integers(-100_000, 100_000).map(lambda seconds: START + timedelta(seconds=seconds))
COUNTS = st.integers(0, 4)
STATES = st.sampled_from(["no_model", "loading", "serving", "swapping", "failed", "of a later release"])
WORDS = st.sampled_from(["", "SmokeNaN", "ModelMissing", "OutOfMemory", "OfALaterRelease"])
NAMES = st.sampled_from(["character", "office"])
PROBLEMS = st.one_of(
    st.none(), st.tuples(st.sampled_from([*sorted(CLUSTER_FAULTS), Reason.SECRET_MISSING]), st.text(max_size=20))
)
REFUSED = st.sampled_from(
    [None, (Reason.QUOTA_EXCEEDED, "exceeded quota"), (Reason.MISSING_RIGHT, 'User "operator" cannot patch resource')]
)
SUMS = st.sampled_from(["", sha("a"), sha("b")])
STRATEGIES = st.sampled_from(["RollingUpdate", "InPlace"])
DATA: Any = st.one_of(
    st.text(max_size=9),
    st.integers(),
    st.none(),
    st.sampled_from([*(reason.value for reason in Reason), sha("a"), sha("b")]),
)

specs = st.builds(
    ModelSpec,
    source=st.builds(Source, url=st.sampled_from(["hf://o/r/a.gguf", "pvc://claim/b.gguf"]), sha256=SUMS),
    storage=st.builds(
        Storage,
        size=st.sampled_from(["", "1Gi", "20Gi", "1e3", "many"]),
        access_mode=st.sampled_from(["ReadWriteOnce", "ReadWriteMany"]),
        deletion_policy=st.sampled_from(["Retain", "Delete"]),
        existing_claim=st.sampled_from(["", "mine"]),
    ),
    rollout=st.builds(
        Rollout,
        strategy=STRATEGIES,
        auto_rollback=st.booleans(),
        soak_seconds=st.sampled_from([0, 60]),
        min_tokens_per_second=st.sampled_from([0.0, 5.0]),
        paused=st.booleans(),
    ),
    revision_history_limit=st.integers(0, 10),
)
keys = st.sampled_from(["", "0" * 8])
conditions = st.fixed_dictionaries(
    {},
    optional={
        kind: st.builds(
            Condition,
            type=st.just(kind),
            status=st.sampled_from(["True", "False", "Unknown"]),
            reason=st.sampled_from(sorted(text.reasons)),
            message=st.just("as it was"),
            last_transition_time=MOMENTS,
            observed_generation=st.just(1),
        )
        for kind, text in CONDITIONS.items()
    },
)
statuses = st.builds(
    ModelStatus,
    observed_generation=st.integers(0, 2),
    revision=REVISIONS,
    last_good_revision=REVISIONS,
    download=st.builds(DownloadStatus, attempt=COUNTS, source_key=keys),
    rollout=st.builds(
        RolloutStatus,
        revision=REVISIONS,
        consumer=st.sampled_from(["", "office", "gone"]),
        started_at=st.none() | MOMENTS,
        paused_since=st.none() | MOMENTS,
        soak_until=st.none() | MOMENTS,
        slow_since=st.none() | MOMENTS,
        strategy=st.sampled_from(["", "RollingUpdate", "InPlace"]),
        template_fingerprint=st.sampled_from(["", "1", "2"]),
        paused_seconds=COUNTS,
    ),
    consumers=st.lists(st.builds(ConsumerStatus, kind=st.just("Deployment"), name=NAMES), max_size=2).map(tuple),
    history=st.lists(
        st.builds(
            HistoryEntry,
            revision=REVISIONS,
            sha256=SUMS,
            url=st.just(""),
            state=st.sampled_from(["Downloaded", "Good", "Bad"]),
            since=MOMENTS,
        ),
        max_size=3,
    ).map(tuple),
    conditions=conditions,
)
pods = st.builds(
    ConsumerPod,
    name=st.sampled_from(["p1", "p2"]),
    uid=st.just("u"),
    node=st.sampled_from(["", "n1", "n2"]),
    ready=st.booleans(),
    annotation=REVISIONS,
    created_at=MOMENTS,
    served=st.none()
    | st.builds(
        ServedModel,
        state=STATES,
        revision=REVISIONS,
        expected=REVISIONS,
        reason=WORDS,
        tokens_per_second=st.sampled_from([0.0, 1.0, 50.0]),
        engine_restarts=COUNTS,
    ),
    problem=PROBLEMS,
)
consumers = st.builds(
    Consumer,
    name=NAMES,
    uid=st.just("u"),
    replicas=COUNTS,
    ready_replicas=COUNTS,
    annotation=REVISIONS,
    template_fingerprint=st.sampled_from(["1", "2"]),
    settled=st.booleans(),
    pods=st.lists(pods, max_size=3).map(tuple),
    problem=PROBLEMS,
    can_surge=st.booleans(),
)


@st.composite
def models_and_clusters(draw: st.DrawFn) -> tuple[Model, Observed]:
    """A Model with any status, and jobs that may or may not be those of its source."""
    model = Model("ns", "m", "uid", 1, "7", draw(specs), draw(statuses), retry=draw(st.sampled_from(["", "1"])))
    fresh = plan(model, Observed(), START).status.download.source_key
    jobs = st.builds(
        DownloadJob,
        name=st.sampled_from(["j1", "j2"]),
        source_key=st.sampled_from([fresh, "0" * 8]),
        attempt=COUNTS,
        state=st.sampled_from(["active", "succeeded", "failed"]),
        created_at=MOMENTS,
        result=st.none() | st.dictionaries(st.sampled_from(["reason", "message", "sha256", "bytes"]), DATA),
        progress=st.builds(Progress, bytes_done=st.none() | COUNTS, bytes_total=st.none() | COUNTS),
        finished_at=st.none() | MOMENTS,
        problem=PROBLEMS,
    )
    claims = st.builds(
        Claim,
        name=st.just("c"),
        phase=st.sampled_from(["Pending", "Bound", "Lost", "Unheard"]),
        size=st.sampled_from(["1Gi", "", "x"]),
        access_modes=st.sampled_from([("ReadWriteOnce",), ("ReadWriteMany",), ()]),
        owned=st.booleans(),
        problem=st.none() | st.just((Reason.NO_STORAGE_CLASS, "no class")),
    )
    return model, Observed(
        claim=draw(st.none() | claims),
        jobs=tuple(draw(st.lists(jobs, max_size=3))),
        consumers=tuple(draw(st.lists(consumers, max_size=2, unique_by=lambda consumer: consumer.name))),
        good_revision=draw(st.none() | REVISIONS),
        keep=draw(st.sampled_from([(), ("../../etc", revision("d"))])),
        refused=draw(st.builds(Refusals, REFUSED, REFUSED, REFUSED, REFUSED)),
    )


@given(models_and_clusters())
@settings(max_examples=200)
def test_planning_never_fails_and_says_only_what_is_listed(found: tuple[Model, Observed]) -> None:
    model, observed = found

    made = plan(model, observed, datetime(2026, 11, 21, 1, tzinfo=UTC))

    assert set(made.status.conditions) == set(ConditionType)
    for kind, condition in made.status.conditions.items():
        assert condition.reason in CONDITIONS[kind].reasons, f"{kind} {condition.reason}"
        assert condition.message
        assert condition.observed_generation == model.generation
    assert all(isinstance(note.reason, Reason | EventReason) for note in made.events), "docs/conditions.md lists them"
    assert status_from_dict(status_to_dict(made.status)) == made.status
    assert phase(made.status.conditions)
    assert made.again_in_seconds is None or made.again_in_seconds >= 1


@given(models_and_clusters())
@settings(max_examples=300)
def test_planning_again_with_the_written_status_counts_and_tells_nothing_twice(found: tuple[Model, Observed]) -> None:
    model, observed = found
    now = datetime(2026, 11, 21, 1, tzinfo=UTC)
    first = plan(model, observed, now)
    written = Model(**{**{name: getattr(model, name) for name in Model.__slots__}, "status": first.status})

    second = plan(written, observed, now)

    assert not (first.rollout_result and second.rollout_result) or first.status != second.status
    assert not set(first.events) & set(second.events)


@given(models_and_clusters())
@settings(max_examples=100)
def test_what_cannot_be_read_is_said_and_forgets_nothing(found: tuple[Model, Observed]) -> None:
    model, _ = found

    made = plan_blind(model, "It cannot be read.", datetime(2026, 11, 21, 1, tzinfo=UTC))

    said = {ConditionType.READY, ConditionType.AVAILABLE}
    assert {(c.status, c.reason) for k, c in made.status.conditions.items() if k in said} == {
        ("Unknown", Reason.MISSING_RIGHT)
    }
    assert made.actions == ()
    rest = {kind: condition for kind, condition in made.status.conditions.items() if kind not in said}
    assert rest == {kind: condition for kind, condition in model.status.conditions.items() if kind not in said}
    assert replace(made.status, conditions={}) == replace(model.status, conditions={})


def test_every_reason_of_an_event_has_a_text_and_is_no_conditions() -> None:
    assert set(EVENT_TEXTS) == set(EventReason)
    assert not {reason.value for reason in EventReason} & {reason.value for reason in Reason}


def test_every_reason_has_a_text_and_a_condition_that_may_have_it() -> None:
    assert set(TEXTS) == set(Reason)
    assert set(CONDITIONS) == set(ConditionType)
    assert set().union(*(text.reasons for text in CONDITIONS.values())) == set(Reason)


def test_every_reason_that_is_not_well_or_on_its_way_has_a_remedy() -> None:
    without = {reason for reason, text in TEXTS.items() if not text.remedy}

    assert without == {
        Reason.SERVING, Reason.DOWNLOADED, Reason.VERIFIED, Reason.BOUND, Reason.ROLLED_OUT, Reason.REACHABLE,
        Reason.NEVER, Reason.PENDING, Reason.DOWNLOADING, Reason.WAITING_FOR_DOWNLOAD,
        Reason.PROGRESSING, Reason.SOAKING,
    }  # fmt: skip
