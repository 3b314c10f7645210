"""Cards read, written again and made into prompts."""

from dataclasses import replace

import pytest
from chatbot.adapters.characters.files import BoundedCardFiles
from chatbot.core.characters.cards.reading import read_card
from chatbot.core.characters.cards.report import Report
from chatbot.core.characters.cards.writing import card_of, converted
from chatbot.core.characters.casting import is_name, name_for, pinned_revision
from chatbot.core.characters.persona import Persona
from chatbot.core.characters.role import Role, greeting_of
from chatbot.core.prompt import PromptTemplates
from chatbot.domain.characters import Character, CharacterSampling, Lorebook, LoreEntry
from chatbot.domain.chat import Dialogue, Message, Turn
from chatbot.domain.generation import Backend, Sampling
from parts.card_zoo import CARDS, Card, traps, v1, v2, v3, valid
from parts.history_model import START

SERVICE = PromptTemplates.shipped("character", Backend.LLAMA)


def character(card: Card) -> Character:
    return read_card(card, Report())


def persona(card: Card) -> Persona:
    made = character(card)
    return Persona.of("nabi", made.revision, made)


def asked(text: str = "안녕", *history: Message) -> Dialogue:
    return Dialogue("", (), history, Message("user", text), may_shorten=False)


def test_the_zoo_is_as_large_as_it_says() -> None:
    assert len(valid()) >= 30
    assert len(valid()) + len(traps()) >= 60


@pytest.mark.parametrize("name", [*valid()])
def test_a_card_is_found_in_every_container(name: str) -> None:
    card, content = valid()[name]

    assert BoundedCardFiles().read(content).card == card


@pytest.mark.parametrize("name", [*CARDS])
def test_a_character_survives_versions_and_its_own_fields(name: str) -> None:
    made = character(CARDS[name])

    assert character(converted(CARDS[name], "v2")) == made
    assert character(converted(CARDS[name], "v3")) == made
    assert character(card_of(made, CARDS[name])) == made
    assert character(card_of(made, None)).revision == made.revision


def test_a_card_that_is_written_can_say_everything_that_a_character_has() -> None:
    book = Lorebook(
        (
            LoreEntry("x", ("a",), ("b",), ("c",), False, True, True, False, True, 2.0, 3.0, True, 5, 6),
            LoreEntry("y", ("/a/",), is_pattern=True),
        ),
        7,
        8,
    )
    made = Character(
        "n", "d", "p", "s", ("g1", "g2"), "e", "sys", "post", CharacterSampling(0.1, 0.2, 3, 0.4, 1.5, 6), book
    )

    assert character(card_of(made, None)) == made


def test_what_reaches_no_prompt_changes_no_revision() -> None:
    other = v3(creator_notes="new", tags=["new"], creator="new", character_version="9")

    assert character(other).revision == character(v3()).revision
    assert character(v3(description="new")).revision != character(v3()).revision


def test_notes_of_the_creator_never_reach_a_prompt() -> None:
    role = Role(
        persona(v3(creator_notes="CANARY", tags=["CANARY"], creator="CANARY", character_version="CANARY")), "hi"
    )
    dialogue = role.directed(role.exchange(SERVICE, asked("서점")))

    assert "CANARY" not in str(dialogue)


def test_the_cards_system_prompt_takes_the_place_of_the_services_and_may_hold_it() -> None:
    original = Role(persona(v2(system_prompt="<{{original}}> as {{char}}"))).exchange(SERVICE, asked()).system
    without = Role(persona(v2(system_prompt="Only {{char}}."))).exchange(SERVICE, asked()).system

    assert original.startswith("<You are Nabi.")
    assert original.split("> as Nabi", 1)[1].strip().startswith("Nabi is a talking cat.")
    assert without.startswith("Only Nabi.\n\nNabi is a talking cat.")
    assert "Stay in character" not in without


@pytest.mark.parametrize("system", ["", "{{original}} You are {{char}}, for {{user}}."])
def test_names_of_users_come_late_and_the_stable_part_is_shared(system: str) -> None:
    late = {"first_mes": "Hi {{user}}", "post_history_instructions": "Call {{user}}."}
    made = persona(v2(description="{{char}} likes {{user}}.", system_prompt=system, **late))
    roles = [Role(made, greeting_of(made, 0, name), name, name) for name in ("Ann", "Bob")]
    dialogues = [role.directed(role.exchange(SERVICE, asked())) for role in roles]

    assert dialogues[0].system == dialogues[1].system
    assert "likes User." in dialogues[0].system
    assert [one.opening[0].content for one in dialogues] == ["Hi Ann", "Hi Bob"]
    assert [one.rounds[0].content for one in dialogues] == [
        f"The user is called {name}.\n\nCall {name}." for name in ("Ann", "Bob")
    ]


def test_what_comes_late_stands_before_results_of_tools() -> None:
    role = Role(persona(v2()))
    rounds = (Message("assistant", "call"), Message("tool", "result", call_id="1"))

    made = role.directed(replace(asked(), rounds=rounds))

    assert [message.role for message in made.rounds] == ["system", "assistant", "tool"]


def test_a_card_without_anything_late_adds_no_message() -> None:
    role = Role(persona(v1()))

    assert role.directed(asked()) == asked()


def test_only_examples_are_left_out_where_space_is_short() -> None:
    role = Role(persona(v2(system_prompt="")))
    whole = role.exchange(SERVICE, asked())
    short = role.shorter(whole)

    assert "---\nUser: Hi\nNabi: Meow" in whole.system
    assert "Meow" not in short.system
    assert whole.system.startswith(short.system)


def test_a_callers_own_greeting_takes_the_place_of_the_cards() -> None:
    role = Role(persona(v2()), "card's")
    own = asked("and?", Message("assistant", "caller's"), Message("user", "x"))

    assert role.exchange(SERVICE, own).opening == ()
    assert role.exchange(SERVICE, asked()).opening == (Message("assistant", "card's"),)
    assert role.exchange(SERVICE, asked("b", Message("user", "a"), Message("assistant", "c"))).opening != ()


def test_sampling_of_the_character_stands_over_the_services() -> None:
    card = v2(extensions={"chatbot": {"sampling": {"temperature": 0.2, "top_p": 7, "top_k": 1.5, "max_tokens": True}}})
    report = Report()
    made = read_card(card, report)

    assert Role(Persona.of("n", "r", made)).sampling(Sampling(top_p=0.5)) == Sampling(temperature=0.2, top_p=0.5)
    assert [note.place.rpartition(".")[2] for note in report.warnings if note.code == "wrong_value"] == [
        "top_p",
        "top_k",
        "max_tokens",
    ]


@pytest.mark.parametrize(
    ("display", "name"),
    [
        ("나비", "나비"),
        ("Ann  Lee (v2)", "Ann-Lee-v2"),
        ("<|eot_id|>", "eot_id"),
        ("../../x", "x"),
        ("!!!", ""),
        ("가" * 99, "가" * 64),
    ],
)
def test_a_name_is_made_of_what_a_character_is_called(display: str, name: str) -> None:
    assert name_for(display) == name
    assert not name or is_name(name)


def test_a_conversation_goes_on_with_its_newest_turn_of_that_character() -> None:
    turns = [Turn(str(n), "q", "a", START, played) for n, played in enumerate(["a@1", "b@2", "a@3", "", "b@4"])]

    assert pinned_revision(turns, "a") == "3"
    assert pinned_revision(turns, "b") == "4"
    assert pinned_revision(turns, "c") is None
