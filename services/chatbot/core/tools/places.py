"""What people call places, in Korean, English and Japanese, the time zone there, and where that is.

The table is made by services/place-names/make.py from the Unicode CLDR and hand-written lists; it is read when a
place is first looked up.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Final

LANGUAGES: Final = ("ko", "en", "ja")
MAX_CANDIDATES: Final = 5
_ENDINGS: Final = ("특별시", "광역시", " city", "市", "시")


@dataclass(frozen=True, slots=True)
class Place:
    """A city, or a territory seen from its capital.

    Attributes:
        territory: ISO 3166 code.
        zone: IANA name.
        names: The name to show, for each of `LANGUAGES`.
        degrees: North and east; None where it is no city, or nobody says where it is.
    """

    territory: str
    zone: str
    names: tuple[str, ...]
    degrees: tuple[float, float] | None = None

    def shown(self, language: str) -> str:
        """Its name."""
        return self.names[LANGUAGES.index(language)]


@dataclass(frozen=True, slots=True)
class Places:
    """The table.

    Attributes:
        by_name: What `folded` makes of a name -> all places of that name, the one that is meant first.
        territories: ISO code -> the territory.
    """

    by_name: Mapping[str, tuple[Place, ...]]
    territories: Mapping[str, Place]

    def find(self, name: str) -> tuple[Place, ...]:
        """All places of a name, at most one for each territory; () where nobody knows it."""
        wanted = folded(name)
        found = self.by_name.get(wanted)
        for ending in _ENDINGS:
            if found is None and wanted.endswith(ending):
                found = self.by_name.get(wanted.removesuffix(ending).strip())
        return found or ()

    def alike(self, name: str) -> list[str]:
        """Names that look like this one, best first."""
        return get_close_matches(folded(name), self.by_name, MAX_CANDIDATES, 0.7)


def folded(name: str) -> str:
    """A name without what people write differently: case, width, accents of Latin letters, spaces around it."""
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    if plain.isascii():
        return plain
    return "".join(map(_without_accent, plain))


def _without_accent(character: str) -> str:
    if "\u00c0" <= character <= "\u024f":
        return unicodedata.normalize("NFD", character)[0]
    return character


def _degrees(text: str) -> tuple[float, float] | None:
    north, _, east = text.partition(",")
    return (float(north), float(east)) if east else None


@cache
def known_places() -> Places:
    """The table that ships, read once."""
    text = resources.files("chatbot.core.tools").joinpath("places.tsv").read_text("utf-8")
    by_name: dict[str, tuple[Place, ...]] = {}
    territories: dict[str, Place] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        territory, zone, degrees, *columns = line.split("\t")
        names = [column.split("|") for column in columns]
        place = Place(territory, zone, tuple(name[0] for name in names), _degrees(degrees))
        territories[territory] = place  # territories come last, one row each
        for name in {folded(name) for one in names for name in one}:
            there = by_name.get(name, ())
            if all(other.territory != territory for other in there):
                by_name[name] = (*there, place)
    return Places(by_name, territories)
