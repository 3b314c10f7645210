"""The checker of the history tests can fail."""

from datetime import UTC, datetime

import pytest
from chatbot.domain.chat import Turn
from parts.history_check import Sent, complaints

PLACE = ("user", "chat")
OTHER = ("other", "chat")
AT = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = Turn("k", "q", "to q", AT)


def sent(*answers: str) -> Sent:
    return Sent(PLACE, "k", "q", list(answers))


@pytest.mark.parametrize(
    ("told", "stored", "complaint"),
    [
        pytest.param(sent("to q"), {PLACE: [GOOD]}, None, id="well"),
        pytest.param(sent("to q", "to q"), {PLACE: [GOOD]}, None, id="asked twice"),
        pytest.param(sent(), {PLACE: [GOOD]}, None, id="stored, answer lost on the way"),
        pytest.param(sent(), {}, None, id="neither stored nor answered"),
        pytest.param(sent("to q"), {}, "lost", id="conversation lost"),
        pytest.param(sent("to q"), {PLACE: []}, "lost", id="turn lost"),
        pytest.param(sent("to q"), {PLACE: [GOOD, GOOD]}, "2 times", id="twice"),
        pytest.param(sent("to q!"), {PLACE: [GOOD]}, "told one answer", id="another answer"),
        pytest.param(sent("to q"), {PLACE: [GOOD], OTHER: [GOOD]}, "never asked", id="at another user too"),
        pytest.param(sent(), {PLACE: [Turn("k", "p", "to p", AT)]}, "another question", id="another question"),
        pytest.param(sent(), {PLACE: [Turn("k", "q", "to p", AT)]}, "another question", id="another's answer"),
    ],
)
def test_checker_finds_what_is_wrong(
    told: Sent, stored: dict[tuple[str, str], list[Turn]], complaint: str | None
) -> None:
    found = complaints([told], stored)

    assert len(found) == (complaint is not None)
    assert complaint is None or complaint in found[0]
