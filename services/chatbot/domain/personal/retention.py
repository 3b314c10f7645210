"""For how long what is kept about people may be kept, where somebody says so."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds since the last change; None: as the settings of the store say.

    Attributes:
        documents: Of documents, and of files.
        usage: Of records of single requests.
    """

    conversations: float | None = None
    documents: float | None = None
    usage: float | None = None

    def of(self, store: str) -> float | None:
        """Of a store by its name; None where nobody says anything about it."""
        named = {
            "conversations": self.conversations,
            "documents": self.documents,
            "files": self.documents,
            "usage": self.usage,
        }
        return named.get(store)


AS_SET: Final = Retention()
"""Where nobody says anything."""
