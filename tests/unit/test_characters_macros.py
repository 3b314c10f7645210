"""Macros of cards and Korean particles behind names."""

import time

import pytest
from chatbot.core.characters.macros import LEAST_ROOM_CHARACTERS, MAX_GROWTH, Macros, hidden_keys
from hypothesis import given, settings
from hypothesis import strategies as st


def expanded(text: str, char: str = "나비", user: str = "민준", seed: str = "s") -> str:
    return Macros(char, user, seed).expand(text)


@pytest.mark.parametrize(
    ("text", "with_consonant", "without"),
    [
        ("{{user}}은/는", "민준은", "나비는"),
        ("{{user}}는/은 ", "민준은 ", "나비는 "),
        ("{{user}}은(는)", "민준은", "나비는"),
        ("{{user}}(은)는", "민준은", "나비는"),
        ("{{user}}이/가 왔다", "민준이 왔다", "나비가 왔다"),
        ("{{user}}을/를.", "민준을.", "나비를."),
        ("{{user}}와/과", "민준과", "나비와"),
        ("{{user}}(으)로", "민준으로", "나비로"),
        ("{{user}}아/야!", "민준아!", "나비야!"),
        ("{{user}}(이)라고", "민준이라고", "나비라고"),
        ("{{user}}는 간다", "민준은 간다", "나비는 간다"),
        ("{{user}}을 본다", "민준을 본다", "나비를 본다"),
        ("{{user}}가\n", "민준이\n", "나비가\n"),
        ("{{user}}로", "민준으로", "나비로"),
        ("{{user}}와,", "민준과,", "나비와,"),
        ("{{user}}이야기", "민준이야기", "나비이야기"),
        ("{{user}}가게", "민준가게", "나비가게"),
        ("{{user}} 은/는", "민준 은/는", "나비 은/는"),
        ("은/는 {{user}}", "은/는 민준", "은/는 나비"),
    ],
)
def test_particles_follow_the_sound_of_the_name(text: str, with_consonant: str, without: str) -> None:
    assert (expanded(text, user="민준"), expanded(text, user="나비")) == (with_consonant, without)


@pytest.mark.parametrize(
    ("name", "text"),
    [("하늘", "하늘로"), ("7", "7로"), ("3", "3으로"), ("R2", "R2로"), ("민준!", "민준!으로"), ("'하나'", "'하나'로")],
)
def test_the_direction_knows_rieul_digits_and_marks(name: str, text: str) -> None:
    assert expanded("{{user}}(으)로", user=name) == text


@pytest.mark.parametrize("name", ["Bob", "猫", "🐱", ""])
def test_particles_stay_as_written_where_nobody_knows_the_sound(name: str) -> None:
    assert expanded("{{user}}은/는 {{user}}를", user=name) == f"{name}은/는 {name}를"


def test_names_are_put_in_whatever_their_case_and_space() -> None:
    assert expanded("{{char}} {{CHAR}} {{ user }} <USER> <bot> <Char>") == "나비 나비 민준 민준 나비 나비"


def test_what_a_macro_brings_is_not_looked_at_again() -> None:
    assert expanded("{{user}}", user="{{char}}{{random:a,b}}") == "{{char}}{{random:a,b}}"
    assert Macros("c", "u", "s", original="{{char}}").expand("<{{original}}>") == "<{{char}}>"


def test_choices_are_the_same_for_the_same_seed_and_differ_else() -> None:
    text = "{{random:a,b,c,d,e,f,g,h}}{{pick::a::b::c::d}}{{roll:d100}}"
    made = {expanded(text, seed=f"s{n}") for n in range(50)}

    assert expanded(text) == expanded(text)
    assert len(made) > 30


def test_choices_may_hold_commas_and_names() -> None:
    assert expanded(r"{{random:a\,b}}") == "a,b"
    assert expanded("{{random:{{char}},{{user}}}}") in ("나비", "민준")
    assert expanded("{{pick::a,b}}") in ("a", "b", "a,b")


@pytest.mark.parametrize("dice", ["d6", "3d6", "20", "1d1"])
def test_dice_stay_in_their_bounds(dice: str) -> None:
    most = {"d6": 6, "3d6": 18, "20": 20, "1d1": 1}[dice]
    rolled = {int(expanded(f"{{{{roll:{dice}}}}}", seed=str(n))) for n in range(300)}

    assert min(rolled) >= (3 if dice == "3d6" else 1)
    assert max(rolled) <= most
    assert len(rolled) > most // 2


@pytest.mark.parametrize(
    "text", ["{{// a}}", "{{comment: a}}", "{{hidden_key:a}}", "{{noop}}", "{{roll:x}}", "{{roll:0}}"]
)
def test_what_is_not_to_be_seen_becomes_nothing(text: str) -> None:
    assert expanded(f"[{text}]") == "[]"


def test_unknown_macros_become_nothing_and_are_noted() -> None:
    macros = Macros("c", "u", "s")

    assert macros.expand("{{getvar::x}}a{{time}}b{{char}}") == "abc"
    assert macros.unknown == {"getvar", "time"}


@pytest.mark.parametrize("text", ["{", "{{", "}}", "{{}", "{{a", "{ {char} }", "{{{{", "{{x{{y}}"])
def test_what_is_no_macro_stays(text: str) -> None:
    assert text[:2] in expanded(text)


def test_hidden_keys_are_found() -> None:
    assert hidden_keys("a {{hidden_key:서점}} b {{Hidden_Key: x y}} {{char}}").split() == ["서점", "x", "y"]


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.lists(
        st.sampled_from(
            ["{{", "}}", "{{char}}", "{{random:", ",", "::", "{{user}}은/는", "a", "{{roll:9d9}}", "<user>"]
        )
    )
)
def test_text_never_grows_beyond_its_bound_and_has_no_name_macros_left(parts: list[str]) -> None:
    text = "".join(parts) * 50
    made = expanded(text, char="x" * 100, user="y" * 100)

    assert len(made) <= max(LEAST_ROOM_CHARACTERS, MAX_GROWTH * len(text)) + len(text)


@pytest.mark.parametrize("piece", ["{{char}}", "{{", "{{x{{char}}", "{{random:", "{{ ", "{{ {{char}}", "<user>은/는"])
def test_time_grows_with_the_text_alone(piece: str) -> None:
    """A pattern that went back and forth would take minutes for these."""
    began = time.process_time()
    expanded(piece * 20_000)

    assert time.process_time() - began < 20
