"""The second condition of a Character and its reasons, with what each says: docs/conditions.md is made from it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

COMPLETE: Final = "Complete"
"""True is well: everything that it says has an effect. It is played in any case."""


class CharacterReason(StrEnum):
    """Why `Complete` is as it is; those of `Ready` are of every compiled kind."""

    NOTHING_LOST = "NothingLost"
    WITHOUT_EFFECT = "WithoutEffect"


MEANINGS: Final[Mapping[CharacterReason, str]] = {
    CharacterReason.NOTHING_LOST: "Everything that it says has an effect, as far as pods have said yet.",
    CharacterReason.WITHOUT_EFFECT: "Something is kept and does nothing: a key that never matches, a macro that nobody "
    "knows, a link that is not followed. The message names each place.",
}
