"""What must not be done with words of a request: tenant, key, conversation and request say it, the strictest wins."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Privacy:
    """As it is made without arguments it forbids nothing.

    Attributes:
        local_only: No word leaves the house: no second backend, no web, no tool that asks outside, no remote vectors.
        may_store: Whether the turn may be kept: in a conversation, or as an answer for equal questions.
        may_recall: Whether the model may be told what was said before.
    """

    local_only: bool = False
    may_store: bool = True
    may_recall: bool = True

    def stricter(self, *others: "Privacy") -> "Privacy":
        """All of them at once; nobody can loosen what another one says."""
        every = (self, *others)
        return Privacy(
            any(one.local_only for one in every),
            all(one.may_store for one in every),
            all(one.may_recall for one in every),
        )


UNBOUND: Final = Privacy()
"""Where nobody says anything."""
