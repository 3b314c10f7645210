"""Text, Markdown, tables of text and JSON."""

import csv
import json
import re
from collections.abc import Iterator
from typing import Any

from chatbot.domain.documents import Block, FailureReason, Unreadable

_BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_TABLE_RULE = re.compile(r"[|:\- \t]*-[|:\- \t]*")
_SEPARATORS = (",", "\t", ";")


def paragraphs(text: str) -> Iterator[Block]:
    """Plain text: what blank lines separate."""
    for paragraph in _BLANK_LINES.split(_with_plain_line_ends(text)):
        if paragraph.strip():
            yield Block(paragraph.strip("\n"))


def markdown(text: str) -> Iterator[Block]:
    """Markdown (https://spec.commonmark.org): headings, tables by row, and paragraphs; code stays as it is."""
    held: list[str] = []
    fence = table_header = ""
    for line in [*_with_plain_line_ends(text).split("\n"), ""]:
        opened = _FENCE.match(line)
        if opened and fence in ("", opened[1]):
            fence = "" if fence else opened[1]
        heading = None if fence else _HEADING.fullmatch(line)
        is_row = not fence and line.lstrip().startswith("|")
        if heading or is_row or (not line.strip() and not fence):
            yield from _joined(held)
            held = []
        if heading:
            yield Block(heading[2], level=len(heading[1]))
        elif is_row:
            row = _row(line)
            table_header = table_header or row
            if not _TABLE_RULE.fullmatch(line):
                yield Block(row, table_header=table_header)
        elif line.strip() or fence:
            held.append(line)
        table_header = table_header if is_row else ""
    yield from _joined(held)


def _joined(lines: list[str]) -> Iterator[Block]:
    if any(line.strip() for line in lines):
        yield Block("\n".join(lines))


def _row(line: str) -> str:
    return " | ".join(cell.strip() for cell in line.strip().strip("|").split("|"))


def rows(text: str) -> Iterator[Block]:
    """A table of text, with commas, tabs or semicolons; its first row is the header (RFC 4180)."""
    lines = _with_plain_line_ends(text).split("\n")
    separator = max(_SEPARATORS, key=lines[0].count)
    header = ""
    try:
        for cells in csv.reader(lines, delimiter=separator):
            row = " | ".join(cell.strip() for cell in cells)
            if row.replace("|", "").strip():
                header = header or row
                yield Block(row, table_header=header)
    except csv.Error:  # a cell longer than the module allows
        raise Unreadable(FailureReason.DAMAGED) from None


def json_values(text: str) -> Iterator[Block]:
    """JSON: each value with the names that lead to it; a list at the top is one block an item.

    Raises:
        Unreadable: `damaged`: no JSON, or nested too deep.
    """
    try:
        value = json.loads(text)
        for item in value if isinstance(value, list) else [value]:
            lines = list(_lines(item, ""))
            if lines:
                yield Block("\n".join(lines))
    except (ValueError, RecursionError):
        raise Unreadable(FailureReason.DAMAGED) from None


def _lines(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _lines(inner, name)
    elif value is not None:
        yield f"{name}: {value}" if name else str(value)


def _with_plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
