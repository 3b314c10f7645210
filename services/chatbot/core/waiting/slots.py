"""Who holds a slot, and who gave one away while its tools run. Without clocks and without asyncio.

Whoever comes back is served before everybody new. As many may be aside as there are slots, those that want to come back
not counted: so all of them find one when each slot was freed once.
"""

from collections.abc import Iterator

from chatbot.core.waiting.ticket import Phase, Ticket


class Slots:
    """Tickets that were dispatched and have not left.

    Attributes:
        running: Those that hold a slot, in the order in which they got it.
        aside: Those that gave it away; they belong to no place in the line.
    """

    def __init__(self) -> None:
        self.running: dict[Ticket, None] = {}
        self.aside: dict[Ticket, None] = {}
        self._returning: dict[Ticket, None] = {}

    def __len__(self) -> int:
        return len(self.running) + len(self.aside)

    def __iter__(self) -> Iterator[Ticket]:
        yield from self.running
        yield from self.aside

    def seat(self, ticket: Ticket) -> None:
        """Give a slot."""
        for places in (self.aside, self._returning):
            places.pop(ticket, None)
        self.running[ticket] = None
        ticket.start()

    def step_aside(self, ticket: Ticket, most: int) -> bool:
        """Take the slot of a ticket that runs, to be given back later; False where `most` are aside already."""
        if ticket.phase is not Phase.RUNNING or len(self.aside) - len(self._returning) >= most:
            return False
        del self.running[ticket]
        self.aside[ticket] = None
        ticket.aside()
        return True

    def come_back(self, ticket: Ticket) -> None:
        """Stand in front of everybody new, behind those that came back before."""
        if ticket in self.aside:
            self._returning[ticket] = None

    def stay_aside(self, ticket: Ticket) -> None:
        """Stand there no more."""
        self._returning.pop(ticket, None)

    def first_back(self) -> Ticket | None:
        """Who is to have the next slot, before everybody new."""
        return next(iter(self._returning), None)

    def leave(self, ticket: Ticket) -> None:
        """A ticket is over, wherever it is."""
        for places in (self.running, self.aside, self._returning):
            places.pop(ticket, None)
