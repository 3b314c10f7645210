"""Which entries of a lorebook are told."""

from typing import Any

import pytest
from chatbot.core.characters.cards.reading import read_card
from chatbot.core.characters.cards.report import Report
from chatbot.core.characters.lore import LoreMatcher, tokens_of
from chatbot.core.characters.patterns import pattern
from chatbot.domain.characters import Lorebook, LoreEntry
from chatbot.domain.chat import Message
from parts.card_zoo import entry, lorebook, v3


def said(*texts: str) -> list[Message]:
    """Messages in turn, the user's last."""
    roles = ["user" if number % 2 == 0 else "assistant" for number in range(len(texts))][::-1]
    return [Message(role, text) for role, text in zip(roles, texts, strict=True)]  # type: ignore[arg-type]


def told(book: Lorebook, *texts: str) -> tuple[int, ...]:
    return LoreMatcher(book).told(said(*texts)).entries


def one(**fields: Any) -> Lorebook:
    return Lorebook((LoreEntry(content="x", **fields),))


@pytest.mark.parametrize(
    ("fields", "text", "is_told"),
    [
        ({"keys": ("서점",)}, "서점이 어디야", True),
        ({"keys": ("Shop",)}, "the SHOP", True),
        ({"keys": ("Shop",), "is_case_sensitive": True}, "the SHOP", False),
        ({"keys": ("shop", "책")}, "책", True),
        ({"keys": ()}, "anything", False),
        ({"keys": ("shop",), "is_enabled": False}, "shop", False),
        ({"is_constant": True}, "", True),
        ({"is_constant": True, "is_enabled": False}, "", False),
        ({"keys": ("a",), "secondary_keys": ("b",), "is_selective": True}, "a", False),
        ({"keys": ("a",), "secondary_keys": ("b",), "is_selective": True}, "ab", True),
        ({"keys": ("a",), "secondary_keys": ("b",)}, "a", True),
        ({"keys": ("a",), "excluded_keys": ("b",)}, "ab", False),
        ({"keys": ("서[점방]",), "is_pattern": True}, "서방", True),
        ({"keys": ("/SHOP/i",), "is_pattern": True, "is_case_sensitive": True}, "shop", True),
        ({"keys": ("SHOP",), "is_pattern": True, "is_case_sensitive": True}, "shop", False),
        ({"keys": ("(?<=a)b", "("), "is_pattern": True}, "ab", False),
        ({"keys": ("a",), "least_messages": 1}, "a", False),
    ],
)
def test_an_entry_is_told_where_its_keys_occur(fields: dict[str, Any], text: str, is_told: bool) -> None:
    assert told(one(**fields), text) == ((0,) if is_told else ())


def test_only_the_newest_messages_are_looked_through() -> None:
    book = Lorebook(
        (LoreEntry("a", ("shop",)), LoreEntry("b", ("shop",), scan_depth=3), LoreEntry("c", ("shop",), scan_depth=0)),
        scan_depth=1,
    )

    assert told(book, "the shop", "yes", "and?") == (1,)
    assert told(book, "no", "no", "shop") == (0, 1)


def test_an_entry_waits_for_as_many_answers_as_it_says() -> None:
    book = one(keys=("a",), least_messages=2)

    assert told(book, "a", "1", "a") == ()
    assert told(book, "a", "1", "a", "2", "a") == (0,)


def test_order_and_position_decide_where_entries_stand() -> None:
    entries = (
        LoreEntry("late", is_constant=True, order=1, is_after=True),
        LoreEntry("third", is_constant=True, order=3),
        LoreEntry("first", is_constant=True, order=-1),
        LoreEntry("second", is_constant=True, order=-1),
    )

    assert told(Lorebook(entries), "") == (2, 3, 1, 0)


def test_the_budget_keeps_what_matters_most_and_tells_what_it_left() -> None:
    entries = tuple(LoreEntry(f"{number}" * 60, ("k",), priority=number) for number in range(4))
    book = Lorebook(
        (*entries, LoreEntry("c" * 60, is_constant=True, priority=-9)), token_budget=3 * tokens_of("0" * 60)
    )

    found = LoreMatcher(book).told(said("k"))

    assert (found.entries, found.trimmed) == ((2, 3, 4), (0, 1))


def test_the_same_text_is_told_once() -> None:
    found = LoreMatcher(Lorebook((LoreEntry("x", ("a",)), LoreEntry("x", ("b",))))).told(said("ab"))

    assert (found.entries, found.trimmed) == ((0,), ())


def test_hidden_keys_call_lore_though_nobody_says_them() -> None:
    matcher = LoreMatcher(one(keys=("secret",), scan_depth=0))

    assert matcher.told(said("x"), "the secret word").entries == (0,)


def test_decorators_and_their_fallbacks() -> None:
    decorators = ("@@depth 4", "@@@scan_depth 2", "@@@@activate", "@@activate_only_after 3", "@@exclude_keys a, b")
    content = "\n".join([*decorators, "@@exclude_keys_x", "Text", "@@not one"])
    report = Report()
    book = read_card(v3(character_book=lorebook([entry(0, content=content)])), report).lorebook

    made = book.entries[0]
    assert made.content == "Text\n@@not one"
    assert (made.scan_depth, made.least_messages, made.excluded_keys, made.is_constant) == (2, 3, ("a", "b"), False)
    assert [note.place.rpartition(" ")[2] for note in report.warnings] == ["@@depth", "@@exclude_keys_x"]


@pytest.mark.parametrize("text", ["(a+)+$", r"(\w+\s?)*$", "(x+x+)+y", "(.*)*(.*)*b"])
def test_a_pattern_costs_what_the_text_is_long(text: str) -> None:
    """Python's own module does not end with these."""
    found = pattern(text, is_case_sensitive=False)

    assert found is not None
    found.is_in("a" * 50_000 + "!")
