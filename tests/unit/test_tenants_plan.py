"""Tenants of a namespace: the file that they become, and what their statuses say."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatbot.adapters.tenants.file import parse
from chatbot_operator.compiled.bundle import MOST_BYTES, Source, compiled, digest
from chatbot_operator.compiled.pages import ServedFile, ServedObject, read
from chatbot_operator.compiled.plan import Consumer, Observed, Planned, plan
from chatbot_operator.compiled.reasons import MEANINGS as READY_MEANINGS
from chatbot_operator.compiled.reasons import ReadyReason
from chatbot_operator.tenants.bundle import TENANTS
from chatbot_operator.tenants.consistency import findings
from chatbot_operator.tenants.reasons import MEANINGS, TenantReason

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def source(name: str = "acme", generation: int = 1, uid: str = "", **spec: Any) -> Source:
    return Source("ns", name, uid or f"uid-{name}", generation, "7", spec, {})


def planned(observed: Observed, *sources: Source, now: datetime = NOW) -> Planned:
    return plan(TENANTS, sources, observed, now)


def ready(done: Planned, name: str = "acme") -> tuple[str, str]:
    found = next(one for one in done.statuses[name]["conditions"] if one["type"] == "Ready")
    return found["status"], found["reason"]


def office(*pages: ServedFile | None) -> Consumer:
    return Consumer("office", pages)


def serving(*sources: Source) -> ServedFile:
    return ServedFile(
        "serving", digest(compiled(TENANTS, sources)), "", {s.uid: ServedObject(s.generation) for s in sources}
    )


def test_the_same_tenants_give_the_same_bytes_in_any_order() -> None:
    sources = [source(f"t{number}", number, suspended=bool(number % 2), services=["office"]) for number in range(50)]
    first = compiled(TENANTS, sources)
    random.Random(1).shuffle(sources)

    assert compiled(TENANTS, sources) == first
    assert (
        compiled(TENANTS, [replace(sources[0], spec=dict(reversed(list(sources[0].spec.items())))), *sources[1:]])
        == first
    )


def test_services_read_what_the_operator_writes() -> None:
    sources = [
        source("b", 3, limits={"tenant": {"usdPerDay": "2.50"}}, keys={"maxLifetime": "90d"}),
        source("a", 1, backends={"local": False, "openai": {"allowed": True, "models": ["*"]}}, suspended=True),
    ]

    tenants = parse(compiled(TENANTS, sources).encode())

    assert [(tenant.name, tenant.generation, tenant.uid) for tenant in tenants] == [
        ("a", 1, "uid-a"),
        ("b", 3, "uid-b"),
    ]
    assert tenants[1].limits.tenant.micro_usd_per_day == 2_500_000
    assert parse(compiled(TENANTS, []).encode()) == ()


def test_a_spec_cannot_take_another_name() -> None:
    stranger = replace(source("a", 2), spec={"name": "b", "generation": 9, "uid": "another"})

    (tenant,) = parse(compiled(TENANTS, [stranger]).encode())

    assert (tenant.name, tenant.generation, tenant.uid) == ("a", 2, "uid-a")


def test_nothing_is_made_where_nobody_uses_it() -> None:
    assert planned(Observed()) == Planned(None, {})


def test_the_last_tenant_leaves_an_empty_file() -> None:
    text = compiled(TENANTS, [source()])

    assert planned(Observed(text=text)).text == compiled(TENANTS, []) == '{"tenants":[]}\n'
    assert planned(Observed(text=compiled(TENANTS, []))) == Planned(None, {})


def test_what_was_changed_by_hand_is_written_again() -> None:
    text = compiled(TENANTS, [source()])

    assert planned(Observed(text="tenants: []"), source()).text == text
    assert planned(Observed(text=None), source()).text == text
    assert planned(Observed(text=text), source()).text is None


def test_a_status_is_written_once() -> None:
    first = planned(Observed(text=compiled(TENANTS, [source()])), source())
    again = planned(
        Observed(text=compiled(TENANTS, [source()])),
        replace(source(), status=first.statuses["acme"]),
        now=NOW + timedelta(hours=1),
    )

    assert again.statuses == {}
    assert first.statuses["acme"]["observedGeneration"] == 1


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    two = source(generation=2)
    pending = planned(Observed((office(ServedFile("none")),)), two).statuses["acme"]
    seen = replace(two, status=pending)
    done = planned(Observed((office(serving(seen)),)), seen, now=NOW + timedelta(minutes=1)).statuses["acme"]

    times = {one["type"]: one["lastTransitionTime"] for one in done["conditions"]}
    assert times == {"Ready": "2026-11-21T12:01:00Z", "LimitsConsistent": "2026-11-21T12:00:00Z"}


@pytest.mark.parametrize(
    ("consumers", "told", "generations"),
    [
        ((), ("True", "NoConsumer"), []),
        ((Consumer("office"),), ("True", "NoConsumer"), []),
        ((office(serving(source(generation=3))),), ("True", "Applied"), [3]),
        ((office(ServedFile("stale", "old", "", {"uid-acme": ServedObject(3)})),), ("True", "Applied"), [3]),
        ((office(serving(source(generation=3)), serving(source(generation=2))),), ("False", "Progressing"), [2]),
        ((office(serving(source(generation=3, uid="another life"))),), ("False", "Progressing"), [0]),
        ((office(ServedFile("none")),), ("False", "Progressing"), [0]),
        ((office(None),), ("False", "NoAnswer"), [0]),
        ((office(None, serving(source(generation=2))),), ("False", "Progressing"), [0]),
        ((office(ServedFile("stale", "old", "tenants[acme].x: no such field")),), ("False", "Rejected"), [0]),
        (
            (office(serving(source(generation=3))), Consumer("character", (serving(source(generation=1)),))),
            ("False", "Progressing"),
            [3, 1],
        ),
    ],
)
def test_ready_is_what_every_ready_pod_serves(
    consumers: tuple[Consumer, ...], told: tuple[str, str], generations: list[int]
) -> None:
    done = planned(Observed(consumers), source(generation=3))

    assert ready(done) == told
    assert [one["generation"] for one in done.statuses["acme"]["consumers"]] == generations
    assert (done.again_in_seconds is not None) == (told[1] in ("Progressing", "NoAnswer"))


def test_what_does_not_fit_leaves_the_old_file_and_says_so() -> None:
    many = [source(f"t{number}", services=["x" * 5000]) for number in range(210)]
    old = compiled(TENANTS, [source()])

    done = planned(Observed(text=old), *many)

    assert len(compiled(TENANTS, many)) > MOST_BYTES
    assert done.text is None
    assert {ready(done, one.name) for one in many} == {("False", "TooLarge")}
    message = done.statuses["t0"]["conditions"][0]["message"]
    assert "a ConfigMap holds 1000000: remove some; until then the last ones that fitted hold" in message


def test_a_refusal_of_the_api_server_is_told() -> None:
    done = planned(Observed(refusal="to write the ConfigMap chatbot-tenants was refused: quota"), source())

    assert ready(done) == ("False", "WriteRefused")
    assert done.text is not None  # it is tried again


LIMITS: list[tuple[dict[str, Any], TenantReason, str]] = [
    ({"perUser": {name: 2}, "tenant": {name: 1}}, TenantReason.PER_USER_ABOVE_TENANT, f"perUser.{name} exceeds tenant")
    for name in ("requestsPerMinute", "tokensPerMinute", "tokensPerDay", "tokensPerMonth", "concurrent")
] + [
    (
        {"perUser": {"usdPerDay": "10.00"}, "tenant": {"usdPerDay": "9.5"}},
        TenantReason.PER_USER_ABOVE_TENANT,
        "perUser.usdPerDay exceeds tenant.usdPerDay: lower it, or raise the other",
    ),
    (
        {"perKey": {"concurrent": 2}, "tenant": {"concurrent": 1}},
        TenantReason.PER_KEY_ABOVE_TENANT,
        "perKey.concurrent",
    ),
    (
        {"perUser": {"concurrent": 2}, "perKey": {"concurrent": 1}},
        TenantReason.PER_USER_ABOVE_KEY,
        "perUser.concurrent",
    ),
    (
        {"tenant": {"tokensPerMinute": 2, "tokensPerDay": 1}},
        TenantReason.SHORTER_ABOVE_LONGER,
        "tenant.tokensPerMinute",
    ),
    ({"perKey": {"tokensPerDay": 2, "tokensPerMonth": 1}}, TenantReason.SHORTER_ABOVE_LONGER, "perKey.tokensPerDay"),
    ({"perUser": {"tokensPerMinute": 2, "tokensPerMonth": 1}}, TenantReason.SHORTER_ABOVE_LONGER, "perUser.tokens"),
]


@pytest.mark.parametrize(("limits", "reason", "named"), LIMITS)
def test_limits_that_contradict_each_other_are_named(limits: dict[str, Any], reason: TenantReason, named: str) -> None:
    done = planned(Observed(), source(limits=limits))
    found = next(one for one in done.statuses["acme"]["conditions"] if one["type"] == "LimitsConsistent")

    assert (found["status"], found["reason"]) == ("False", reason)
    assert named in found["message"] and "lower it, or raise the other" in found["message"]
    assert ready(done) == ("True", "NoConsumer")  # it holds all the same


def test_money_for_a_backend_that_is_not_allowed_is_named() -> None:
    spec = {"backends": {"openai": {"allowed": False}}, "limits": {"tenant": {"usdPerDay": "1"}}}

    assert [one.reason for one in findings(spec)] == [TenantReason.NOTHING_TO_SPEND]


def test_equal_limits_and_none_at_all_are_no_contradiction() -> None:
    assert findings({}) == findings({"limits": None}) == ()
    assert findings({"limits": {"tenant": {"usdPerDay": "1.0"}, "perUser": {"usdPerDay": "1"}}}) == ()


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(TenantReason)
    assert set(READY_MEANINGS) == set(ReadyReason)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"state": 7}', b"[" * 100_000, b"\xff", b'{"state": "serving", "tenants": '],
)
def test_what_is_no_page_of_policies_is_none(body: bytes) -> None:
    assert read(body, "tenants") is None


def test_a_strange_page_breaks_nothing() -> None:
    page = {"state": "s" * 9999, "digest": 7, "message": None, "tenants": {"a": 1, "b": {"uid": 1}, "c": {"uid": "u"}}}
    body = json.dumps(page | {"tenants": page["tenants"] | {"d": {"uid": "x", "generation": 4}}})  # type: ignore[operator]
    told = read(body.encode(), "tenants")

    assert told == ServedFile("s" * 500, "", "", {"x": ServedObject(4)})
    assert read(b'{"state": "serving", "tenants": []}', "tenants") == ServedFile("serving")
