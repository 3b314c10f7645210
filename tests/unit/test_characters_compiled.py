"""Characters of a namespace: cards that they name, the file that they become, and what their statuses say."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from chatbot_operator.characters.bundle import CHARACTERS, MOST_ENTRY_BYTES
from chatbot_operator.characters.cards import with_cards
from chatbot_operator.characters.reasons import MEANINGS, CharacterReason
from chatbot_operator.cluster.api import Api, Kind
from chatbot_operator.compiled.bundle import Source, compiled, digest
from chatbot_operator.compiled.pages import ServedFile, ServedObject, read
from chatbot_operator.compiled.plan import Consumer, Observed, Planned, plan

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CARD = {"spec": "chara_card_v2", "data": {"name": "나비", "description": "고양이"}}


def source(name: str = "nabi", generation: int = 1, **spec: Any) -> Source:
    return Source("ns", name, f"uid-{name}", generation, "7", spec or {"displayName": name}, {})


def carded(name: str = "nabi", config_map: str = "cards", key: str = "nabi.json") -> Source:
    return source(name, cardFrom={"configMapKeyRef": {"name": config_map, "key": key}})


def planned(observed: Observed, *sources: Source) -> Planned:
    return plan(CHARACTERS, sources, observed, NOW)


def told(done: Planned, name: str = "nabi", kind: str = "Ready") -> tuple[str, str, str]:
    found = next(one for one in done.statuses[name]["conditions"] if one["type"] == kind)
    return found["status"], found["reason"], found["message"]


def saying(text: str, **objects: ServedObject) -> Observed:
    """The ConfigMap has this text, and a pod says that it plays these."""
    page = ServedFile("serving", digest(text), "", {f"uid-{name}": one for name, one in objects.items()})
    return Observed((Consumer("character", (page,)),), text)


class ConfigMaps:
    """Those of one namespace; counts what is read."""

    def __init__(self, **data: dict[str, str]) -> None:
        self.data = data
        self.read: list[str] = []

    async def find(self, kind: Kind, namespace: str, selector: str = "", *, named: str = "") -> list[dict[str, Any]]:
        self.read.append(named)
        return [{"data": self.data[named]}] if named in self.data else []

    async def complete(self, *sources: Source) -> Sequence[Source]:
        return await with_cards(cast(Api, self), "ns", sources)


async def test_a_card_stands_in_the_file_in_the_place_of_its_name() -> None:
    maps = ConfigMaps(cards={"nabi.json": json.dumps(CARD, indent=2), "other.json": json.dumps(CARD)})
    (one, other, plain) = await maps.complete(carded(), carded("other", key="other.json"), source("plain"))

    entries = {entry["name"]: entry for entry in json.loads(compiled(CHARACTERS, [one, other, plain]))["characters"]}
    assert entries["nabi"] == {"card": CARD, "cardDigest": one.card_digest, "name": "nabi", "generation": 1,
                               "uid": "uid-nabi"}  # fmt: skip
    assert entries["plain"] == {"displayName": "plain", "name": "plain", "generation": 1, "uid": "uid-plain"}
    assert maps.read == ["cards"], "once, however many name it"


@pytest.mark.parametrize(
    ("data", "reason", "named"),
    [
        ({}, "CardMissing", "there is no ConfigMap cards: create it"),
        ({"cards": {"other.json": "{}"}}, "CardMissing", "has no key nabi.json in data"),
        *(
            ({"cards": {"nabi.json": text}}, "CardInvalid", "nabi.json of the ConfigMap cards is no card")
            for text in (
                "", "[]", "{", "7", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "[" * 200_000,
                '{"a":' * 40 + "1" + "}" * 40, '{"a": ' + "9" * 5_000 + "}", "\x89PNG",
            )
        ),
    ],
)  # fmt: skip
async def test_a_card_that_is_not_there_or_none_is_named_and_what_was_compiled_holds(
    data: dict[str, dict[str, str]], reason: str, named: str
) -> None:
    before = compiled(CHARACTERS, await ConfigMaps(cards={"nabi.json": json.dumps(CARD)}).complete(carded()))
    (one, other) = await ConfigMaps(**data).complete(carded(), source("other"))
    first, later = planned(Observed(), one, other), planned(Observed(text=before), one, other)

    assert told(first)[:2] == told(later)[:2] == ("False", reason)
    assert named in told(later)[2] and told(later)[2].endswith("what was compiled before holds")
    assert [entry["name"] for entry in json.loads(str(first.text))["characters"]] == ["other"]
    assert [entry["name"] for entry in json.loads(str(later.text))["characters"]] == ["nabi", "other"]
    assert json.loads(str(later.text))["characters"][0]["card"] == CARD
    assert told(later, "other")[0] == "True", "the others go on"


async def test_a_card_of_before_is_not_given_to_an_object_of_another_life() -> None:
    before = compiled(CHARACTERS, await ConfigMaps(cards={"nabi.json": json.dumps(CARD)}).complete(carded()))
    (one,) = await ConfigMaps().complete(replace(carded(), uid="another"))

    assert planned(Observed(text=before), one).text == compiled(CHARACTERS, [])


def test_one_that_is_too_large_is_left_out_and_the_others_go_on() -> None:
    large = source("large", displayName="x", description="가" * (MOST_ENTRY_BYTES // 3))
    done = planned(Observed(), large, source())

    assert told(done, "large")[:2] == ("False", "TooLarge")
    assert f"one may take {MOST_ENTRY_BYTES}: shorten its texts" in told(done, "large")[2]
    assert [entry["name"] for entry in json.loads(str(done.text))["characters"]] == ["nabi"]


def test_the_status_tells_what_pods_say() -> None:
    text = compiled(CHARACTERS, [source()])
    done = planned(saying(text, nabi=ServedObject(1, revision="abc", language="ko", tokens=57)), source())

    assert told(done)[:2] == ("True", "Applied")
    assert told(done, kind="Complete")[:2] == ("True", "NothingLost")
    status = done.statuses["nabi"]
    assert (status["revision"], status["language"], status["tokens"]) == ("abc", "ko", 57)
    assert status["consumers"] == [{"kind": "Deployment", "name": "character", "generation": 1}]
    gone = planned(Observed(text=text), replace(source(), status=status)).statuses["nabi"]
    assert (gone["revision"], gone["tokens"]) == ("abc", 57), "also while no pod is there to say it"


def test_an_entry_that_a_pod_cannot_use_is_told_of_that_one_alone() -> None:
    text = compiled(CHARACTERS, [source(), source("other")])
    done = planned(
        saying(text, nabi=ServedObject(0, problem="sampling.topP: at most 1"), other=ServedObject(1)),
        source(),
        source("other"),
    )

    assert told(done)[:2] == ("False", "Rejected")
    assert (
        "character: 1 of 1 ready pods cannot use it and keep what they had: sampling.topP: at most 1" in told(done)[2]
    )
    assert done.statuses["nabi"]["consumers"][0]["generation"] == 0
    assert told(done, "other")[:2] == ("True", "Applied")


def test_what_has_no_effect_is_told_and_it_is_played_all_the_same() -> None:
    text = compiled(CHARACTERS, [source()])
    done = planned(saying(text, nabi=ServedObject(1, notes=("lorebook: never matches", "{{x}}: unknown"))), source())

    assert told(done)[:2] == ("True", "Applied")
    assert told(done, kind="Complete") == (
        "False", CharacterReason.WITHOUT_EFFECT, "lorebook: never matches; {{x}}: unknown",
    )  # fmt: skip


async def test_a_changed_card_is_served_when_pods_have_that_card_and_not_by_its_generation() -> None:
    """The object's generation does not change with its card."""
    (old,) = await ConfigMaps(cards={"nabi.json": json.dumps(CARD)}).complete(carded())
    (new,) = await ConfigMaps(cards={"nabi.json": json.dumps(CARD | {"spec_version": "2.0"})}).complete(carded())
    played = ServedObject(1, card=old.card_digest)
    page = ServedFile("serving", "another file", "", {"uid-nabi": played})

    def ready(one: Source) -> tuple[str, str]:
        return told(planned(Observed((Consumer("character", (page,)),), ""), one))[:2]

    assert ready(old) == ("True", "Applied")
    assert ready(new) == ("False", "Progressing")


def test_a_strange_page_breaks_nothing() -> None:
    entry = {"uid": "u", "generation": 2, "revision": 7, "tokens": -1, "notes": [1, "n" * 9_999], "problem": None}
    page = {"state": "serving", "characters": {"a": entry, "b": entry | {"uid": "v", "notes": "x", "tokens": True}}}

    found = read(json.dumps(page).encode(), "characters")

    assert found is not None
    assert found.objects == {"u": ServedObject(2, notes=("1", "n" * 500)), "v": ServedObject(2)}
    assert read(json.dumps(page).encode(), "tenants") == ServedFile("serving")


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(CharacterReason)
