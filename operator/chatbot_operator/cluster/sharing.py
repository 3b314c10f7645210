"""What Models that share a claim must not delete from each other: counted once for all of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chatbot_operator import names
from chatbot_operator.cluster import storage
from chatbot_operator.resources import Model


@dataclass(frozen=True, slots=True)
class Sharing:
    """Everything that is named on one claim.

    Of a thousand Models on one claim each must know what the others want; to ask each of the others anew for each of
    them would be a million questions.

    Attributes:
        wanted: How many Models want a revision, by what their specs and statuses say.
        named: Revisions that pods, Deployments and ConfigMaps of these Models name.
        partials: Partials of the downloads that these Models want.
    """

    wanted: Counter[str]
    named: frozenset[str]
    partials: frozenset[str]

    @classmethod
    def of(cls, models: Sequence[Model], named: Iterable[str]) -> "Sharing":
        """Count what Models on one claim want; `named` is what their objects name."""
        wanted = Counter(revision for model in models for revision in storage.revisions_of(model))
        return cls(wanted, frozenset(named) - {""}, frozenset(map(partial_of, models)))

    def kept_for(self, model: Model) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Revisions and partials that something else than this Model's spec and status names."""
        own = storage.revisions_of(model)
        others = {revision for revision, count in self.wanted.items() if count > (revision in own)}
        return tuple(sorted(others | self.named)), tuple(sorted(self.partials - {partial_of(model)}))


def partial_of(model: Model) -> str:
    """Name of the partial of a Model's download."""
    return names.partial_key(model.uid, model.spec.source_key)
