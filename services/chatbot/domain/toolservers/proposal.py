"""A call of a tool that does more than read: asked for by the model, run once its user says so, and once at most.

Its id holds a hash of the tool, the definition of it and the arguments: what a user confirms by it is what was shown.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from chatbot.domain.errors import ChatError, NotFound, Unavailable

MAX_PROPOSALS: Final = 4
"""Of one answer, and calls that one request may confirm."""
MAX_SHOWN_CHARACTERS: Final = 4_000
"""Of the arguments of one call: a person is to read them."""
ID_PATTERN: Final = r"^cf_[0-9a-f]{12}_[0-9a-f]{32}$"
PROPOSAL_OUTCOMES: Final = (
    "asked",
    "done",
    "failed",
    "unsure",
    "not_found",
    "used",
    "expired",
    "changed",
    "unavailable",
)
"""What became of calls that ask first; a label of metrics. `unsure`: nobody knows whether it was done."""


class ProposalState(StrEnum):
    """How far a call is. `TAKEN`: it was confirmed, and may have been run or not."""

    OPEN = "open"
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One call that its user was asked for.

    Attributes:
        tool: Its full name, `server__tool`.
        server: Who would run it.
        arguments: JSON text of an object.
        pin: Of the definition that the model was told of.
        until: Unix seconds; later it cannot be confirmed.
    """

    id: str
    tool: str
    server: str
    arguments: str
    pin: str
    until: float
    state: ProposalState = ProposalState.OPEN

    @property
    def is_whole(self) -> bool:
        """Whether it still is what its id was made of."""
        return self.id == id_of(self.id[3:15], self)


class ConfirmationNotFound(NotFound):
    """This conversation of this user has no such call."""


class ConfirmationRefused(ChatError):
    """The call cannot be confirmed any more."""


class ConfirmationUsed(ConfirmationRefused):
    """It was confirmed before.

    Args:
        state: What became of it.
    """

    def __init__(self, state: ProposalState) -> None:
        super().__init__(state)
        self.state = state


class ConfirmationExpired(ConfirmationRefused):
    """Its time is over."""


class ConfirmationChanged(ConfirmationRefused):
    """The tool is not the one any more that the model was told of, or is not offered any more."""


class ToolUnavailable(Unavailable):
    """The tool's server does not answer; nothing was run, and the call can still be confirmed."""


def id_of(nonce: str, proposal: Proposal) -> str:
    """The id of a call.

    Args:
        nonce: 12 hexadecimal digits.
        proposal: Its own id does not count.
    """
    parts = (nonce, proposal.tool, proposal.server, proposal.pin, proposal.arguments)
    digest = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]
    return f"cf_{nonce}_{digest}"


def to_text(proposals: Iterable[Proposal]) -> str:
    """As a turn keeps them; "" for none."""
    rows = [asdict(one) for one in proposals]
    return json.dumps(rows, ensure_ascii=False) if rows else ""


def of_text(text: str) -> tuple[Proposal, ...]:
    """What a turn keeps; what is not ours is nothing."""
    try:
        rows = json.loads(text) if text else []
        return tuple(Proposal(**{**row, "state": ProposalState(row["state"])}) for row in rows)
    except (ValueError, TypeError, KeyError):
        return ()
