"""Curated characters: entries of a file, one by one, and how they stand before what a store has."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from chatbot.adapters.characters.curated_file import CuratedFile
from chatbot.api.characters.curated_page import curation_fields
from chatbot.api.characters.objects import ObjectWords
from chatbot.core.characters.casting import Casting, Wanted
from chatbot.core.characters.curation.entries import EntryReader
from chatbot.core.characters.curation.shelf import CURATED_TENANT, CuratedFirst
from chatbot.domain.characters import CharacterSummary, KeptCharacter
from chatbot.domain.chat import Turn
from chatbot.domain.curation.curated import MOST_CURATED, MOST_NOTES, Curation, CurationState, CurationStatus
from chatbot.domain.errors import CharacterReadOnly, CharactersUnavailable
from chatbot_operator.compiled.pages import MOST_BYTES, read
from starlette.responses import JSONResponse

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NABI = {"name": "nabi", "displayName": "나비", "description": "{{char}}는 고양이다.", "greetings": ["어서 와라냥."]}
CARD = {"spec": "chara_card_v2", "data": {"name": "Reed", "description": "An old captain.", "first_mes": "Ahoy."}}


def curation(*entries: Mapping[str, Any], before: Curation | None = None) -> Curation:
    return EntryReader(ObjectWords(), lambda: NOW).read({"characters": list(entries)}, before or Curation())


def problem(**changes: Any) -> str:
    (found,) = curation({**NABI, **changes}).problems.values()
    return found.text


def test_an_entry_says_what_a_put_says() -> None:
    entry = {
        **NABI,
        "uid": "u",
        "generation": 3,
        "postHistory": "짧게.",
        "sampling": {"topP": 0.5, "maxTokens": 9},
        "lorebook": {"scanDepth": 2, "entries": [{"content": "달빛책방", "keys": ["서점"], "enabled": False}]},
        "style": {"sentenceSuffix": {"any": ["냥"]}, "maxSentences": 2},
    }
    found = curation(entry).characters["nabi"]

    assert (found.uid, found.generation, found.language, found.kept.is_read_only) == ("u", 3, "ko", True)
    data = found.kept.card["data"]
    assert data["post_history_instructions"] == "짧게."
    assert data["extensions"]["chatbot"]["sampling"] == {"top_p": 0.5, "max_tokens": 9}
    assert data["character_book"]["scan_depth"] == 2 and data["character_book"]["entries"][0]["enabled"] is False
    assert found.tokens > 0 and found.notes == ()


def test_a_card_is_played_as_it_would_be_imported() -> None:
    found = curation({"name": "reed", "card": CARD, "cardDigest": "abc"}).characters["reed"]

    assert (found.kept.card, found.display_name, found.language, found.card) == (CARD, "Reed", "en", "abc")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"descripton": "x"}, "descripton: no such field"),
        ({"lorebook": {"scan_depth": 3}}, "lorebook.scan_depth: no such field"),
        ({"lorebook": {"entries": [{"content": "x"}, {"content": "y", "keyz": []}]}}, "lorebook.entries[1].keyz"),
        ({"displayName": ""}, "displayName: "),
        ({"displayName": None}, "displayName: "),
        ({"sampling": {"topP": 7}}, "sampling.topP: "),
        ({"lorebook": {"scanDepth": 101}}, "lorebook.scanDepth: "),
        ({"lorebook": {"entries": [{"content": ""}]}}, "lorebook.entries[0].content: "),
        ({"lorebook": 7}, "lorebook: "),
        ({"description": "가" * 20_000}, "data.description: "),
        ({"description": "a\x00b"}, "description: "),
        ({"greetings": "어서 와라냥."}, "greetings: "),
        ({"tenants": []}, "tenants: must be a list with at least one name"),
        ({"tenants": "acme"}, "tenants: "),
        ({"tenants": ["a"] * 101}, "tenants: "),
        ({"card": CARD}, "description: cannot stand beside a card"),
        ({"sampling": {"topP": float("nan")}}, "the entry: It is not JSON"),
        ({"description": "\ud800"}, "the entry: "),
        ({"description": NOW}, "the entry: "),
        ({"lorebook": json.loads("[" * 40 + "]" * 40)}, "the entry: It is nested too deeply"),
        ({"name": "-nabi"}, "name: "),
        ({"name": "a" * 65}, "name: "),
    ],
    ids=range(22),
)
def test_a_wrong_entry_is_named_by_its_field_and_the_others_are_played(changes: dict[str, Any], named: str) -> None:
    found = curation({**NABI, **changes}, {"name": "other", "displayName": "x"})

    assert set(found.characters) == {"other"}
    assert problem(**changes).startswith(named)


@pytest.mark.parametrize(
    "document",
    [7, [], {"character": []}, {"characters": 7}, {"characters": [7]}, {"characters": [{}]},
     {"characters": [{"name": ""}]}, {"characters": [NABI, NABI]}, {"characters": [{"name": "a"}] * 2_001}],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_list_of_characters_is_refused_as_a_whole(document: Any) -> None:
    with pytest.raises(ValueError, match="^(the file|characters)"):
        EntryReader(ObjectWords(), lambda: NOW).read(document, Curation())


def test_an_entry_that_breaks_stays_as_it_was_and_comes_back_when_it_is_mended() -> None:
    first = curation({**NABI, "uid": "u", "generation": 1})
    broken = curation({**NABI, "uid": "u", "generation": 2, "sampling": {"topP": 7}}, before=first)
    mended = curation({**NABI, "uid": "u", "generation": 1}, before=broken)

    assert broken.characters["nabi"].kept is first.characters["nabi"].kept
    assert broken.characters["nabi"].generation == 1
    assert set(broken.problems) == {"nabi"} and mended.problems == {}
    assert curation({**NABI, "uid": "another", "lorebook": 7}, before=first).characters == {}, "of another life"


def test_entries_that_did_not_change_are_not_read_again() -> None:
    first = curation(NABI, {"name": "other", "displayName": "x"})
    second = curation(NABI, {"name": "other", "displayName": "y"}, before=first)

    assert second.characters["nabi"] is first.characters["nabi"]
    assert second.characters["other"].display_name == "y"


def test_the_page_tells_what_is_played_and_what_is_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "characters.yaml"
    path.write_text(json.dumps({"characters": [{**NABI, "uid": "u"}, {"name": "bad", "uid": "b", "lorebook": 7}]}))
    with caplog.at_level(logging.INFO):
        file = CuratedFile(path, EntryReader(ObjectWords(), lambda: NOW).read, lambda: NOW)
    serving = curation_fields(file.status)
    path.write_text("characters: [")
    file.look()
    stale = curation_fields(file.status)
    path.unlink()
    file.look()

    assert serving["state"] == "serving" and stale["state"] == "stale" == file.status.state
    assert "not YAML" in str(stale["message"]) and stale["digest"] == serving["digest"]
    assert serving["characters"] == stale["characters"]
    told = serving["characters"]
    assert isinstance(told, dict)
    assert told["bad"]["problem"].startswith("displayName: ") and told["bad"]["generation"] == 0
    assert told["nabi"]["language"] == "ko" and told["nabi"]["problem"] == ""
    assert "bring it back" in file.status.message and file.status.curation.find("", "nabi")
    assert "나비" not in caplog.text and "고양이" not in caplog.text


def test_without_a_file_there_are_none_and_a_broken_one_stops_the_start(tmp_path: Path) -> None:
    read = EntryReader(ObjectWords(), lambda: NOW).read
    (tmp_path / "broken.yaml").write_text("characters: 7")

    assert CuratedFile(None, read).status.state is CurationState.NONE
    assert CuratedFile(tmp_path / "later.yaml", read).status.message == ""
    with pytest.raises(ValueError, match="CHATBOT_CHARACTERS_FILE: characters: a list"):
        CuratedFile(tmp_path / "broken.yaml", read)


def test_the_operator_reads_the_page_of_as_many_as_there_may_be() -> None:
    """The longest names, and more notes than are told."""
    lore = {"entries": [{"content": "x", "keys": [f"(?<=a{n})"], "enabled": True, "pattern": True} for n in range(9)]}
    (one,) = curation({**NABI, "lorebook": lore}).characters.values()
    names = [f"{'a' * 58}{number:05}" for number in range(MOST_CURATED)]
    crowd = Curation({name: replace(one, uid=f"{'u' * 31}{name[-5:]}") for name in names})

    body = JSONResponse(curation_fields(CurationStatus(CurationState.SERVING, "d", NOW, "", crowd))).body
    told = read(bytes(body), "characters")

    assert len(one.notes) == MOST_NOTES
    assert len(body) < MOST_BYTES * 0.75
    assert told is not None and len(told.objects) == MOST_CURATED


class Memory:
    """A store in memory that can be away."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], list[KeptCharacter]] = {}
        self.is_away = False

    async def put(self, tenant: str, character: KeptCharacter, display_name: str, *, most: int) -> None:
        self._check()
        self.kept.setdefault((tenant, character.name), []).append(character)

    async def find(self, tenant: str, name: str, revision: str | None = None) -> KeptCharacter | None:
        self._check()
        found = self.kept.get((tenant, name), [])
        return next((one for one in reversed(found) if revision in (None, one.revision)), None)

    async def listing(self, tenant: str, *, limit: int, after: str = "") -> tuple[CharacterSummary, ...]:
        self._check()
        names = sorted(name for of, name in self.kept if of == tenant and name > after)
        return tuple(CharacterSummary(name, name, "r", NOW) for name in names[:limit])

    async def erase(self, tenant: str, name: str) -> None:
        self._check()
        self.kept.pop((tenant, name), None)

    async def close(self) -> None:
        return

    def _check(self) -> None:
        if self.is_away:
            raise CharactersUnavailable("away")


class Said:
    """A `Curator` whose file can be swapped."""

    def __init__(self, *entries: Mapping[str, Any]) -> None:
        self.status = CuratedFile(None, lambda _, before: before).status
        self.say(*entries)

    def say(self, *entries: Mapping[str, Any]) -> None:
        status = CuratedFile(None, lambda _, before: before).status
        self.status = type(status)(CurationState.SERVING, "d", NOW, "", curation(*entries))


def own(name: str = "nabi", revision: str = "own") -> KeptCharacter:
    return KeptCharacter(name, revision, CARD, NOW)


async def test_a_curated_character_is_found_first_and_cannot_be_changed() -> None:
    memory, said = Memory(), Said(NABI)
    await memory.put("acme", own(), "Nabi", most=9)
    store = CuratedFirst(memory, said)

    found = await store.find("acme", "nabi")
    assert found is not None and found.is_read_only
    with pytest.raises(CharacterReadOnly):
        await store.put("acme", own(), "Nabi", most=9)
    with pytest.raises(CharacterReadOnly):
        await store.erase("acme", "nabi")
    assert memory.kept["acme", "nabi"] == [own()]
    said.say()
    assert await store.find("acme", "nabi") == own(), "the tenant's own comes back with the end of the curated one"
    await store.close()


async def test_a_character_for_some_tenants_leaves_the_name_to_the_others() -> None:
    memory = Memory()
    store = CuratedFirst(memory, Said({**NABI, "tenants": ["acme"]}))
    await store.put("globex", own(), "Nabi", most=9)

    assert await store.find("globex", "nabi") == own()
    found = await store.find("acme", "nabi")
    assert found is not None and found.is_read_only
    assert [one.is_read_only for one in await store.listing("globex", limit=9)] == [False]
    assert await store.find("", "nabi") is None
    await store.close()


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
async def test_pages_have_every_name_once_in_order(limit: int) -> None:
    memory = Memory()
    for name in ("b", "c", "e", "g"):
        await memory.put("acme", own(name), name, most=9)
    store = CuratedFirst(memory, Said(*({"name": name, "displayName": name} for name in ("a", "c", "d", "z"))))
    names: list[str] = []
    while page := await store.listing("acme", limit=limit, after=names[-1] if names else ""):
        assert len(page) <= limit
        names += [one.name for one in page]

    assert names == ["a", "b", "c", "d", "e", "g", "z"]


async def test_a_conversation_goes_on_with_the_revision_that_it_began_with() -> None:
    memory, said = Memory(), Said(NABI)
    store = CuratedFirst(memory, said)
    casting, other = Casting(store), Casting(CuratedFirst(memory, said))
    first = await casting.persona("acme", Wanted("nabi"))
    assert first is not None
    await store.idle()
    said.say({**NABI, "description": "{{char}}는 개다."})
    turns = (Turn("t", "q", "a", NOW, character=first.played),)

    for replica in (casting, other):
        again = await replica.persona("acme", Wanted("nabi"), turns)
        newest = await replica.persona("acme", Wanted("nabi"))
        upgraded = await replica.persona("acme", Wanted("nabi", upgrades=True), turns)
        assert again is not None and again.revision == first.revision
        assert newest is not None and newest.revision != first.revision
        assert upgraded is not None and upgraded.revision == newest.revision
    assert {tenant for tenant, _ in memory.kept} == {CURATED_TENANT}


async def test_a_store_that_is_away_stops_no_curated_character_and_is_told_later() -> None:
    memory = Memory()
    memory.is_away = True
    store = CuratedFirst(memory, Said(NABI))
    assert await store.find("acme", "nabi") is not None
    await store.idle()
    memory.is_away = False
    assert memory.kept == {}
    assert await store.find("acme", "nabi") is not None
    await store.idle()
    assert await store.find("acme", "nabi") is not None
    await store.idle()

    assert [len(kept) for kept in memory.kept.values()] == [1], "once"
