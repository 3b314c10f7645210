"""`GET :9090/characters`: which curated characters are played here, and why not newer ones."""

from typing import Any

from chatbot.domain.curation.curated import CuratedCharacter, CurationProblem, CurationStatus


def curation_fields(status: CurationStatus) -> dict[str, object]:
    """The body, always sent with 200."""
    curation = status.curation
    names = sorted({*curation.characters, *curation.problems})
    return {
        "state": str(status.state),
        "digest": status.digest,
        "since": status.since.isoformat(),
        "message": status.message,
        "characters": {name: _entry(curation.characters.get(name), curation.problems.get(name)) for name in names},
    }


def _entry(played: CuratedCharacter | None, problem: CurationProblem | None) -> dict[str, Any]:
    told = {"uid": problem.uid, "generation": 0, "problem": problem.text} if problem is not None else {}
    if played is None:
        return told
    return {
        "uid": played.uid,
        "generation": played.generation,
        "card": played.card,
        "problem": problem.text if problem is not None else "",
        "revision": played.kept.revision,
        "language": played.language,
        "tokens": played.tokens,
        "notes": list(played.notes),
    }
