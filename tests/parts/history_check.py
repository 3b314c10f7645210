"""Compares what clients were told with what the store holds."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from chatbot.domain.chat import Turn

Place = tuple[str, str]
"""User and `db_id`."""


@dataclass
class Sent:
    """One turn that a client asked for, once or again and again.

    Attributes:
        key: Its Idempotency-Key.
        answers: The body of every 200.
    """

    place: Place
    key: str
    question: str
    answers: list[str] = field(default_factory=list)


def complaints(sent: Sequence[Sent], stored: Mapping[Place, Sequence[Turn]]) -> list[str]:
    """What is wrong: turns lost, there twice, somebody else's or never asked for, answers that differ."""
    return [*_of_the_clients(sent, stored), *_of_the_store(sent, stored)]


def _of_the_clients(sent: Sequence[Sent], stored: Mapping[Place, Sequence[Turn]]) -> Iterator[str]:
    for one in sent:
        kept = [turn for turn in stored.get(one.place, ()) if turn.turn_id == one.key]
        if one.answers and not kept:
            yield f"lost: {one.place} {one.key}"
        for turn in kept:
            if set(one.answers) - {turn.answer}:
                yield f"told one answer and stored another: {one.place} {one.key}"


def _of_the_store(sent: Sequence[Sent], stored: Mapping[Place, Sequence[Turn]]) -> Iterator[str]:
    asked = {(one.place, one.key): one.question for one in sent}
    for place, turns in stored.items():
        for key, count in Counter(turn.turn_id for turn in turns).items():
            if count > 1:
                yield f"{count} times: {place} {key}"
        for turn in turns:
            if (place, turn.turn_id) not in asked:
                yield f"never asked for here: {place} {turn.turn_id}"
            elif turn.question != asked[place, turn.turn_id] or turn.question not in turn.answer:
                yield f"of another question: {place} {turn.turn_id}"
