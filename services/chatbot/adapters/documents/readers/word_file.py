"""docx: paragraphs, headings by the outline level of their style, and tables by row (ECMA-376 part 1, chapter 17)."""

import re
from collections.abc import Iterator

from chatbot.adapters.documents.readers.office_zip import OfficeZip, parse_xml
from chatbot.domain.documents import Block

_HEADING_NAME = re.compile(r"heading ([1-6])", re.IGNORECASE)


def blocks(package: OfficeZip) -> Iterator[Block]:
    """What the body says.

    Raises:
        Unreadable: `damaged`.
    """
    body = _Body(_levels(package.read("word/styles.xml")))
    parse_xml(package.read("word/document.xml"), body.start, body.end, body.text)
    yield from body.found


def _levels(styles: bytes) -> dict[str, int]:
    """Heading level by style: styles are named in the language of the program, their outline level is not."""
    found: dict[str, int] = {}
    current = ""

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal current
        value = attributes.get("val", "")
        if name == "style":
            current = attributes.get("styleId", "")
        elif name == "name" and (heading := _HEADING_NAME.fullmatch(value)):
            found[current] = int(heading[1])
        elif name == "outlineLvl" and value.isdecimal() and int(value) < 6:
            found.setdefault(current, int(value) + 1)

    if styles:
        parse_xml(styles, start, lambda _: None, lambda _: None)
    return found


class _Body:
    def __init__(self, levels: dict[str, int]) -> None:
        self.found: list[Block] = []
        self._levels = levels
        self._level = 0
        self._text: list[str] = []
        self._is_text = False
        self._tables = 0
        self._cells: list[str] = []
        self._header = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self._is_text = True
        elif name in ("tab", "br", "cr"):
            self._text.append("\t" if name == "tab" else "\n")
        elif name == "pStyle":
            self._level = self._levels.get(attributes.get("val", ""), 0)
        elif name == "tbl":
            self._tables += 1
            self._header = ""

    def end(self, name: str) -> None:
        if name == "t":
            self._is_text = False
        elif name == "p":
            self._end_paragraph()
        elif name == "tc" and self._tables == 1:
            self._cells.append(self._taken())
        elif name == "tr" and self._tables == 1:
            self._end_row()
        elif name == "tbl":
            self._tables -= 1

    def text(self, data: str) -> None:
        if self._is_text:
            self._text.append(data)

    def _end_paragraph(self) -> None:
        if self._tables:
            self._text.append(" ")  # paragraphs of a cell become one line
            return
        text, level = "".join(self._text).strip(), self._level
        self._text, self._level = [], 0
        if text:
            self.found.append(Block(text, level=level))

    def _end_row(self) -> None:
        row, self._cells = " | ".join(self._cells), []
        if row.replace("|", "").strip():
            self._header = self._header or row
            self.found.append(Block(row, table_header=self._header))

    def _taken(self) -> str:
        text, self._text, self._level = "".join(self._text), [], 0
        return " ".join(text.split())
