"""HTML: headings, paragraphs and rows of tables; scripts, styles and what is hidden from readers are left out."""

from collections.abc import Iterator
from html.parser import HTMLParser

from chatbot.domain.documents import Block, FailureReason, Unreadable

_SILENT = {"script", "style", "template", "noscript", "svg", "iframe", "object", "select", "textarea"}
_INLINE = {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "dfn", "em", "font", "i", "kbd", "label", "mark", "q", "rp"}
_INLINE |= {"rt", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr", "img"}
_HEADINGS = {f"h{level}": level for level in range(1, 7)} | {"title": 1}


def blocks(text: str) -> Iterator[Block]:
    """What a page shows.

    Raises:
        Unreadable: `damaged`: markup that no browser could read either.
    """
    page = _Page()
    try:
        page.feed(text)
        page.close()
    except (AssertionError, ValueError, RecursionError):
        raise Unreadable(FailureReason.DAMAGED) from None
    page.end_block()
    yield from page.found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Block] = []
        self._text: list[str] = []
        self._level = 0
        self._silent = ""
        self._cells: list[str] | None = None
        self._header = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        if self._silent:
            return
        if tag in _SILENT:
            self._silent = tag
        elif tag == "table":
            self.end_block()
            self._header = ""
        elif tag == "tr":
            self.end_block()
            self._cells = []
        elif self._cells is not None:
            self._start_in_row(tag)
        elif tag not in _INLINE:
            self.end_block()
            self._level = _HEADINGS.get(tag, 0)

    def _start_in_row(self, tag: str) -> None:
        if tag in ("td", "th") and self._cells is not None:
            self._cells.extend(filter(None, [self._taken()]))  # a cell may end without a tag
        elif tag not in _INLINE:
            self._text.append(" ")  # paragraphs of a cell become one line

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        if self._silent:
            self._silent = "" if tag == self._silent else self._silent
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append(self._taken())
        elif tag in ("tr", "table"):
            self._end_row()
        elif self._cells is None and tag not in _INLINE:
            self.end_block()

    def handle_data(self, data: str) -> None:
        """Keep text that is shown."""
        if not self._silent:
            self._text.append(data)

    def end_block(self) -> None:
        """What came so far is a block."""
        self._end_row()
        text = self._taken()
        if text:
            self.found.append(Block(text, level=self._level))
        self._level = 0

    def _end_row(self) -> None:
        if self._cells is None:
            return
        cells = [*self._cells, *filter(None, [self._taken()])]
        self._cells = None
        row = " | ".join(cells)
        if any(cells):
            self._header = self._header or row
            self.found.append(Block(row, table_header=self._header))

    def _taken(self) -> str:
        text, self._text = "".join(self._text), []
        return " ".join(text.split())
