"""xlsx: each sheet is a heading and a table, its first row the header (ECMA-376 part 1, chapter 18).

Numbers are shown as they are stored: a date is the number that its cell holds.
"""

import re
from collections.abc import Iterator

from chatbot.adapters.documents.readers.office_zip import OfficeZip, parse_xml
from chatbot.domain.documents import Block

_SHEET = re.compile(r"xl/worksheets/sheet(\d+)\.xml")


def blocks(package: OfficeZip) -> Iterator[Block]:
    """What the sheets say, in the order of their files.

    Raises:
        Unreadable: `damaged`.
    """
    shared = _shared_strings(package.read("xl/sharedStrings.xml"))
    titles = _titles(package.read("xl/workbook.xml"))
    numbers = sorted(int(found[1]) for name in package.names if (found := _SHEET.fullmatch(name)))
    for place, number in enumerate(numbers, start=1):
        sheet = _Sheet(shared)
        parse_xml(package.read(f"xl/worksheets/sheet{number}.xml"), sheet.start, sheet.end, sheet.text)
        if sheet.rows:
            title = titles[place - 1] if place <= len(titles) else ""
            yield Block(title or f"Sheet {place}", level=1, page=place)
            yield from (Block(row, page=place, table_header=sheet.rows[0]) for row in sheet.rows)


def _titles(workbook: bytes) -> list[str]:
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "sheet":
            found.append(attributes.get("name", ""))

    parse_xml(workbook, start, lambda _: None, lambda _: None)
    return found


def _shared_strings(data: bytes) -> list[str]:
    strings = _Sheet([])
    if data:
        parse_xml(data, strings.start, strings.end, strings.text)
    return strings.strings


class _Sheet:
    """Rows of a sheet; also reads the table of shared strings, whose items are made of the same parts."""

    def __init__(self, shared: list[str]) -> None:
        self.rows: list[str] = []
        self.strings: list[str] = []
        self._shared = shared
        self._cells: list[str] = []
        self._text: list[str] = []
        self._kind = ""
        self._is_text = False
        self._is_reading_aid = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "rPh":  # the pronunciation of a Japanese word
            self._is_reading_aid = True
        elif name in ("v", "t"):
            self._is_text = not self._is_reading_aid
        elif name in ("c", "si"):
            self._kind, self._text = attributes.get("t", ""), []

    def end(self, name: str) -> None:
        if name == "rPh":
            self._is_reading_aid = False
        elif name in ("v", "t"):
            self._is_text = False
        elif name == "si":
            self.strings.append("".join(self._text))
        elif name == "c":
            self._cells.append(" ".join(self._value().split()))
        elif name == "row":
            row, self._cells = " | ".join(self._cells), []
            if row.replace("|", "").strip():
                self.rows.append(row)

    def text(self, data: str) -> None:
        if self._is_text:
            self._text.append(data)

    def _value(self) -> str:
        value = "".join(self._text)
        if self._kind != "s":
            return value
        place = int(value) if value.isdecimal() else len(self._shared)
        return self._shared[place] if place < len(self._shared) else ""
