"""Writes the table of places that the tools ship: a person's names of places -> time zone, and where that is.

python services/place-names/make.py          writes services/chatbot/core/tools/places.tsv
python services/place-names/make.py --check  fails where it would change
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_location

HERE = Path(__file__).parent
TABLE = HERE.parent / "chatbot/core/tools/places.tsv"
LANGUAGES = ("ko", "en", "ja")
NOWHERE = {"001", "ZZ"}


@dataclass(frozen=True)
class Place:
    """One row: ISO 3166 territory, zone, degrees ("37.57,126.98"; "" for a territory), and per language the names."""

    territory: str
    zone: str
    degrees: str
    names: tuple[tuple[str, ...], ...]

    def row(self) -> str:
        """The place as a line of the table."""
        return "\t".join([self.territory, self.zone, self.degrees, *("|".join(names) for names in self.names)])


def lines(name: str) -> Iterator[str]:
    """Lines of a hand-written list, without its comments."""
    for line in (HERE / name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line


def names_of(columns: list[str]) -> tuple[tuple[str, ...], ...]:
    """Names of each language."""
    return tuple(tuple(name.strip() for name in column.split("|")) for column in columns)


def cities() -> Iterator[Place]:
    """Large cities that CLDR does not name, from our own list."""
    for line in lines("cities.txt"):
        head, *columns = line.split(" ; ")
        territory, zone, degrees = head.split()
        yield Place(territory, zone, degrees, names_of(columns))


def territories() -> Iterator[Place]:
    """Countries and regions, with the zone of their capital."""
    capitals = dict(line.split() for line in lines("capitals.txt"))
    called = {head: names_of(columns) for head, *columns in (line.split(" ; ") for line in lines("called.txt"))}
    locales = [Locale.parse(language) for language in LANGUAGES]
    for territory, zones in sorted(get_global("territory_zones").items()):
        if territory in NOWHERE:
            continue
        zone = capitals[territory] if len(zones) > 1 else zones[0]
        more = called.get(territory, ((), (), ()))
        formal = [locale.territories[territory] for locale in locales]
        yield Place(territory, zone, "", tuple(unique(*m, name) for name, m in zip(formal, more, strict=True)))


def exemplars() -> Iterator[Place]:
    """The city that CLDR shows for each zone."""
    territory_of = get_global("zone_territories")
    for zone, territory in sorted(territory_of.items()):
        if territory not in NOWHERE:
            cities = [get_timezone_location(zone, locale=language, return_city=True) for language in LANGUAGES]
            yield Place(territory, zone, degrees_of(zone), tuple((city,) for city in cities))


@cache
def zone_places() -> dict[str, str]:
    """Zone, also by its other names -> degrees of its city, from the time zone database (zone.tab, ISO 6709)."""
    tables = resources.files("tzdata.zoneinfo")
    rows = [line.split("\t") for line in tables.joinpath("zone.tab").read_text("utf-8").splitlines() if line[0] != "#"]
    found = {row[2]: ",".join(map(decimal, re.findall(r"[+-]\d+", row[1]))) for row in rows}
    links = re.findall(r"^L (\S+) (\S+)$", tables.joinpath("tzdata.zi").read_text("utf-8"), re.MULTILINE)
    for target, name in links * 2:
        if there := found.get(target) or found.get(name):
            found.setdefault(name, there)
            found.setdefault(target, there)
    return found


def degrees_of(zone: str) -> str:
    """Where the city of a zone is; "" where the database does not say."""
    return zone_places().get(zone, "")


def decimal(text: str) -> str:
    """+DDMM, +DDDMM, +DDMMSS or +DDDMMSS as degrees."""
    digits = text[1:]
    size = 2 if len(digits) in (4, 6) else 3
    value = int(digits[:size]) + int(digits[size : size + 2]) / 60
    return f"{value if text[0] == '+' else -value:.2f}"


def unique(*names: str) -> tuple[str, ...]:
    """Each name once, in their order."""
    return tuple(dict.fromkeys(names))


def table() -> str:
    """The whole table: the first place of a name is the one that is meant."""
    head = (
        "# Made by services/place-names/make.py; edit the lists there. Names of zones and territories: Unicode CLDR,\n"
    )
    head += "# Unicode License v3 (https://www.unicode.org/license.txt). Degrees of zones: IANA time zone database,\n"
    head += "# public domain. territory, zone, degrees, names in ko, en, ja\n"
    rows = [place.row() for place in (*cities(), *exemplars(), *territories())]
    return head + "\n".join(rows) + "\n"


def main() -> int:
    """Write the table, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    made = table()
    if not parser.parse_args().check:
        TABLE.write_text(made, "utf-8")
        return 0
    return 0 if TABLE.exists() and TABLE.read_text("utf-8") == made else 1


if __name__ == "__main__":
    sys.exit(main())
