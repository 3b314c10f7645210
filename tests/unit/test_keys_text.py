"""How keys look: their form, their sum, and what is no key."""

import re

import pytest
from chatbot.core.accounts.key_text import is_key_id, mint, parse
from chatbot.domain.access import Rights, Scope
from hypothesis import given
from hypothesis import strategies as st

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_key_is_one_word_of_55_characters_that_scanners_can_find() -> None:
    key = mint()

    assert re.fullmatch(r"cbk_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}", key.text) and len(key.text) == 55
    assert parse(key.text) == key
    assert key.text not in repr(key) and key.id in repr(key)


def test_no_two_keys_are_alike() -> None:
    keys = [mint() for _ in range(1000)]

    assert len({key.id for key in keys}) == len({key.text[17:49] for key in keys}) == 1000
    assert {character for key in keys for character in key.text[17:49]} == set(ALPHABET)


@given(st.integers(4, 54), st.sampled_from(ALPHABET))
def test_every_wrong_character_is_noticed(place: int, character: str) -> None:
    text = mint().text
    wrong = text[:place] + character + text[place + 1 :]

    assert (parse(wrong) is None) == (wrong != text)


@pytest.mark.parametrize("change", [str.upper, str.swapcase, lambda t: t + "\n", lambda t: " " + t, lambda t: t[:-1]])
def test_near_misses_are_no_keys(change: object) -> None:
    text = mint().text

    assert parse(change(text)) is None  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    ["", "cbk_", "cbk_" + "é" * 51, "cbk_" + "０" * 12 + "_" + "0" * 38, "\x00" * 55, "\udcff", "cbk_' OR 1=1 --"],
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["", "a" * 11, "a" * 13, "a" * 11 + "_", "a" * 12 + "\n", '{"$gt": "a"}', "ａ" * 12])
def test_ids_have_one_form(text: str) -> None:
    assert not is_key_id(text)


def test_rights_go_through_plain_values_and_unknown_scopes_open_nothing() -> None:
    rights = Rights.of(Rights().fields() | {"scopes": ["chat", "of the future"], "networks": ["10.0.0.0/8", "::1/128"]})

    assert rights.scopes == {Scope.CHAT}
    assert Rights.of(rights.fields()) == rights


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("::1", True), ("11.0.0.1", False), ("", False), ("10", False)],
)
def test_networks_say_where_from(address: str, is_allowed: bool) -> None:
    rights = Rights.of(Rights().fields() | {"networks": ["10.0.0.0/8", "::1/128"]})

    assert rights.allows_address(address) is is_allowed
    assert Rights().allows_address(address)
