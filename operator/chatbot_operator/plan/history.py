"""Which revisions there were, how they turned out, and which of them must stay on the volume."""

import re
from dataclasses import replace

from chatbot_operator.plan.draft import Draft
from chatbot_operator.resources import HistoryEntry, HistoryState

_MOST_ENTRIES = 24
_REVISION = re.compile(r"[0-9a-f]{16}")


def note_download(draft: Draft, sha256: str) -> None:
    """The target is on the volume; an earlier bad end of the same revision is forgotten, it is tried again."""
    old = next((entry for entry in draft.history if entry.revision == draft.revision), None)
    state: HistoryState = "Good" if old and old.state == "Good" else "Downloaded"
    _put_first(draft, HistoryEntry(draft.revision, sha256, draft.spec.source.url, state, draft.now))


def mark(draft: Draft, revision: str, state: HistoryState) -> None:
    """A revision turned out good or bad."""
    old = next((entry for entry in draft.history if entry.revision == revision), None)
    if old is not None and old.state != state:
        _put_first(draft, replace(old, state=state, since=draft.now))


def kept_revisions(draft: Draft) -> tuple[str, ...]:
    """Revisions that a download must not delete: whatever anything names, and the newest good ones."""
    good = [entry.revision for entry in draft.history if entry.state == "Good" and entry.revision != draft.last_good]
    named = {draft.revision, draft.last_good, draft.observed.good_revision or "", *draft.observed.keep}
    for consumer in draft.observed.consumers:
        named.add(consumer.annotation)
        for pod in consumer.pods:
            named |= {pod.annotation, pod.served.revision, pod.served.expected} if pod.served else {pod.annotation}
    named |= set(good[: draft.spec.revision_history_limit])
    return tuple(sorted(revision for revision in named if is_revision(revision)))


def is_revision(text: str) -> bool:
    """Whether a text is a revision: 16 lower-case hex digits."""
    return _REVISION.fullmatch(text) is not None


def _put_first(draft: Draft, entry: HistoryEntry) -> None:
    others = [other for other in draft.history if other.revision != entry.revision]
    draft.history = (entry, *others)[:_MOST_ENTRIES]
