"""pptx: each slide's title is a heading, its other paragraphs are text (ECMA-376 part 1, chapter 19)."""

import re
from collections.abc import Iterator

from chatbot.adapters.documents.readers.office_zip import OfficeZip, parse_xml
from chatbot.domain.documents import Block

_SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml")
_TITLES = ("title", "ctrTitle")


def blocks(package: OfficeZip) -> Iterator[Block]:
    """What the slides say, by number.

    Raises:
        Unreadable: `damaged`.
    """
    numbers = sorted(int(found[1]) for name in package.names if (found := _SLIDE.fullmatch(name)))
    for number in numbers:
        slide = _Slide(number)
        parse_xml(package.read(f"ppt/slides/slide{number}.xml"), slide.start, slide.end, slide.text)
        yield from slide.found


class _Slide:
    def __init__(self, number: int) -> None:
        self.found: list[Block] = []
        self._number = number
        self._text: list[str] = []
        self._is_text = self._is_title = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self._is_text = True
        elif name == "br":
            self._text.append("\n")
        elif name == "ph":
            self._is_title = attributes.get("type") in _TITLES

    def end(self, name: str) -> None:
        if name == "t":
            self._is_text = False
        elif name == "p":
            text, self._text = "".join(self._text).strip(), []
            if text:
                self.found.append(Block(text, level=int(self._is_title), page=self._number))
        elif name == "sp":
            self._is_title = False

    def text(self, data: str) -> None:
        if self._is_text:
            self._text.append(data)
