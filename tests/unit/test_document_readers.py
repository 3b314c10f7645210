"""Files of every kind (`parts.document_zoo`) give their text, or one of the reasons that their owner is told."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from chatbot.adapters.documents.readers import formats, plain_text
from chatbot.core.retrieval.chunking import chunks
from chatbot.domain.documents import Block, Chunk, FailureReason, Unreadable
from hypothesis import given
from hypothesis import strategies as st
from parts.document_zoo import (
    ENGLISH,
    JAPANESE,
    KOREAN,
    READABLE,
    UNREADABLE,
    docx,
    korean_pdf,
    pptx,
    word_table,
    word_text,
    xlsx,
)

IN_ITS_PROCESS = {"pdf bomb"}  # in this one it would take the memory: integration/test_document_jobs.py


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def passages(name: str, content: bytes) -> list[Chunk]:
    found = list(chunks(formats.blocks(name, content)))
    if not found:
        raise Unreadable(FailureReason.NO_TEXT)
    return found


@pytest.mark.parametrize(("name", "make", "text"), READABLE.values(), ids=READABLE.keys())
def test_text_of_a_readable_file_is_found(name: str, make: Callable[[], bytes], text: str) -> None:
    assert any(text in one.text for one in passages(name, make()))


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [row for key, row in UNREADABLE.items() if key not in IN_ITS_PROCESS],
    ids=[key for key in UNREADABLE if key not in IN_ITS_PROCESS],
)
def test_unreadable_file_says_why(name: str, make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        passages(name, make())

    assert refusal.value.reason.value == reason


def test_no_entry_of_a_zip_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    passages("a.docx", docx(word_text(ENGLISH), **{"../escaped": "x", str(tmp_path / "escaped"): "x"}))

    assert list(tmp_path.rglob("*")) == []
    assert not (tmp_path.parent / "escaped").exists()


def test_headings_pages_and_tables_are_told_apart() -> None:
    word = docx(word_text("제목", "1") + word_text(KOREAN) + word_table(("이름", "값"), ("가습기", "128")))

    assert list(formats.blocks("a.docx", word)) == [
        Block("제목", level=1),
        Block(KOREAN),
        Block("이름 | 값", table_header="이름 | 값"),
        Block("가습기 | 128", table_header="이름 | 값"),
    ]
    assert [block.page for block in formats.blocks("a.pdf", korean_pdf())] == [1]
    assert [(block.text, block.level, block.page) for block in formats.blocks("a.pptx", pptx())] == [
        ("첫째", 1, 2),
        (KOREAN, 0, 2),
        ("Zweite", 1, 10),
        (ENGLISH, 0, 10),
    ]
    assert next(formats.blocks("a.xlsx", xlsx())) == Block("가격표", level=1, page=1)


def test_markdown_keeps_code_and_splits_tables() -> None:
    text = "# A #\ntext\n\n| n | v |\n|---|---|\n| 1 | 2 |\nafter\n\n~~~\n# code\n\n| x |\n~~~\n"

    assert list(plain_text.markdown(text)) == [
        Block("A", level=1),
        Block("text"),
        Block("n | v", table_header="n | v"),
        Block("1 | 2", table_header="n | v"),
        Block("after"),
        Block("~~~\n# code\n\n| x |\n~~~"),
    ]


def test_html_shows_what_a_reader_sees() -> None:
    page = (
        "<html><title>T</title><h2>Head <b>line</b></h2><p>one<br>two &amp; &#51;</p><ul><li>a<li>b</ul>"
        "<table><tr><th>n<th>v</tr><tr><td>1</td><td><p>a<p>b</td></tr></table><noscript>no</noscript><p>end"
    )

    assert [(block.text, block.level, block.table_header) for block in formats.blocks("", page.encode())] == [
        ("T", 1, ""),
        ("Head line", 2, ""),
        ("one", 0, ""),
        ("two & 3", 0, ""),
        ("a", 0, ""),
        ("b", 0, ""),
        ("n | v", 0, "n | v"),
        ("1 | a b", 0, "n | v"),
        ("end", 0, ""),
    ]


@pytest.mark.parametrize("ending", ["txt", "md", "html", "csv", "json"])
@given(content=st.one_of(st.text(max_size=300).map(str.encode), st.binary(max_size=300)))
def test_any_bytes_end_in_text_or_a_reason(ending: str, content: bytes) -> None:
    try:
        for block in formats.blocks(f"a.{ending}", content):
            block.text.encode()
            assert "\0" not in block.text
    except Unreadable:
        pass


@given(st.data())
def test_broken_office_and_pdf_files_end_in_text_or_a_reason(data: st.DataObject) -> None:
    name, make, _ = READABLE[data.draw(st.sampled_from(["docx", "xlsx", "pptx", "pdf", "korean pdf"]))]
    content = bytearray(make())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        list(formats.blocks(name, bytes(content)))
    except Unreadable:
        pass


@given(st.text("가나다라 회의연차배송", min_size=2, max_size=60).filter(str.strip))
def test_korean_in_cp949_is_read_as_korean(text: str) -> None:
    assert passages("a.txt", f"{KOREAN}{text}".encode("cp949"))[0].text == f"{KOREAN}{text}".strip()


@given(st.text("会議室のデータは予約します。休暇", max_size=60))
def test_japanese_in_shift_jis_is_read_as_japanese(text: str) -> None:
    assert passages("a.txt", f"{JAPANESE}{text}".encode("shift_jis"))[0].text == f"{JAPANESE}{text}"
