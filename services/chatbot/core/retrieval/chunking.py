"""Blocks of a file -> passages of a size that a model can read several of.

A passage never crosses a heading; it ends at the end of a sentence or a row, and repeats the end of the one before, so
that what is said across the border is found too. Where a table goes on in the next passage, its first row is repeated.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from chatbot.core.retrieval.terms import spaceless_characters
from chatbot.domain.documents import Block, Chunk

PASSAGE_SIZE = 1000
"""Size of a passage: characters of Korean, Japanese and Chinese count 1, others 1/2 (about 400 tokens either way)."""

OVERLAP = 0.12
HEADING_CHARACTERS = 200

_END_OF_SENTENCE = re.compile(r"""[。！？]++["'”’」』）]*+|(?<![.!?…])[.!?…]++["'”’)\]]*+(?=\s)|\n++""")
_END_OF_WORD = re.compile(r"\s++")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence or a row: characters `start` to `end` of the document."""

    start: int
    end: int
    size: float
    page: int | None
    table_header: str


@dataclass(slots=True)
class _Section:
    """What stands under one heading."""

    path: tuple[str, ...]
    pieces: list[_Piece] = field(default_factory=list)


def chunks(blocks: Iterable[Block]) -> Iterator[Chunk]:
    """Cut what a reader found.

    The same blocks always give the same passages: a job that was interrupted goes on by their numbers.
    """
    held = list(blocks)
    text = "\n".join(block.text for block in held)
    number = 0
    for section in _sections(held, text):
        heading = " > ".join(part[:HEADING_CHARACTERS] for part in section.path)
        for run in _runs(section.pieces):
            header = run[0].table_header
            body = text[run[0].start : run[-1].end].strip()
            if not body:
                continue
            if header and not body.startswith(header):
                body = f"{header}\n{body}"
            yield Chunk(number, heading, body, run[0].page, run[0].start, run[-1].end)
            number += 1


def _sections(blocks: list[Block], text: str) -> Iterator[_Section]:
    """Pieces by heading. A heading that nothing stands under is a passage of its own."""
    path: list[tuple[int, str]] = []
    section, lonely, place = _Section(()), None, 0
    for block in blocks:
        start, place = place, place + len(block.text) + 1
        if not block.level:
            section.pieces.extend(_pieces(block, start, text))
            lonely = None if block.text.strip() else lonely
            continue
        if lonely and block.level <= lonely[0]:
            section.pieces = [lonely[1]]  # what followed is blank
        yield section
        while path and path[-1][0] >= block.level:
            path.pop()
        above = tuple(title for _, title in path)
        path.append((block.level, " ".join(block.text.split())))
        lonely = block.level, _Piece(start, start + len(block.text), _size(block.text), block.page, "")
        section = _Section((*above, path[-1][1]))
    if lonely:
        section.pieces = [lonely[1]]
    yield section


def _pieces(block: Block, start: int, text: str) -> Iterator[_Piece]:
    """Sentences of a block, those that are too long cut at spaces."""
    ends = [found.end() for found in _END_OF_SENTENCE.finditer(block.text)] if not block.table_header else []
    begin = 0
    for end in [*ends, len(block.text)]:
        for left, right in _cut(block.text, begin, end):
            size = _size(text[start + left : start + right])
            yield _Piece(start + left, start + right, size, block.page, block.table_header)
        begin = end


def _cut(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence in pieces of at most half a passage's characters each, if it is longer than a passage."""
    if end - begin <= PASSAGE_SIZE:
        if end > begin:
            yield begin, end
        return
    step = PASSAGE_SIZE // 2
    while end - begin > step:
        spaces = list(_END_OF_WORD.finditer(text, begin + step // 2, begin + step))
        middle = spaces[-1].end() if spaces else begin + step
        yield begin, middle
        begin = middle
    yield begin, end


def _runs(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces that become one passage each; the last ones of a passage come again in the next."""
    run: list[_Piece] = []
    size, fresh = 0.0, 0
    for piece in pieces:
        if fresh and size + piece.size > PASSAGE_SIZE:
            yield run
            run = _tail(run)
            size, fresh = sum(one.size for one in run), 0
        run.append(piece)
        size += piece.size
        fresh += 1
    if fresh:
        yield run


def _tail(run: list[_Piece]) -> list[_Piece]:
    """The last whole pieces that fit into the overlap."""
    kept: list[_Piece] = []
    room = PASSAGE_SIZE * OVERLAP
    for piece in reversed(run[1:]):
        room -= piece.size
        if room < 0:
            break
        kept.insert(0, piece)
    return kept


def _size(text: str) -> float:
    spaceless = spaceless_characters(text)
    return spaceless + (len(text) - spaceless) / 2
