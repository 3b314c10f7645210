"""What removes rows that were kept long enough, by the policies that hold now."""

from chatbot.adapters.tenants.file import PolicyFile
from chatbot.core.personal.sweeper import Sweeper
from chatbot.server.observe.telemetry import Meters
from chatbot.server.wiring.personal.people import People


def open_sweeper(people: People, tenants: PolicyFile, meters: Meters) -> Sweeper:
    """A worker over all stores of people."""
    sweeper = Sweeper(people.eraser.store, people.stores, lambda: tenants.status.policies.all())
    meters.watch_ages(lambda: sweeper.ages)
    return sweeper
