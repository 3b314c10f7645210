"""Characters as a compiled kind."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatbot_operator import names
from chatbot_operator.characters.cards import with_cards
from chatbot_operator.characters.reasons import COMPLETE, CharacterReason
from chatbot_operator.cluster.api import CHARACTERS as KIND
from chatbot_operator.compiled.bundle import Bundle
from chatbot_operator.compiled.pages import ServedObject
from chatbot_operator.compiled.reasons import Finding

MOST_ENTRY_BYTES: Final = 256 * 1024
"""Of one Character with all its texts, or its card: four of the largest fit into the ConfigMap."""

_TOLD: Final = ("revision", "language", "tokens")


def _notes(_spec: Mapping[str, Any], served: Sequence[ServedObject]) -> tuple[Finding, ...]:
    """What pods say that it has and that does nothing; each once."""
    found = dict.fromkeys(note for one in served for note in one.notes)
    return tuple(Finding(CharacterReason.WITHOUT_EFFECT, note) for note in found)


def _told(served: Sequence[ServedObject], before: Mapping[str, Any]) -> dict[str, Any]:
    """What the first pod says; where none says anything, what was said before."""
    for one in served:
        if one.revision:
            said = {"revision": one.revision, "language": one.language, "tokens": one.tokens}
            return {name: value for name, value in said.items() if value not in ("", None)}
    return {name: before[name] for name in _TOLD if name in before}


CHARACTERS: Final = Bundle(
    kind=KIND,
    config_map=names.CHARACTERS_CONFIG_MAP,
    file="characters.yaml",
    label=names.CHARACTERS_LABEL,
    page="characters",
    setting="CHATBOT_CHARACTERS_FILE",
    second=(COMPLETE, CharacterReason.NOTHING_LOST),
    check=_notes,
    told=_told,
    complete=with_cards,
    most_entry_bytes=MOST_ENTRY_BYTES,
)
