"""Which reader a file needs: by its content where that says it, else by the ending of its name."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from chatbot.adapters.documents.readers import html_page, pdf_file, plain_text, presentation, spreadsheet, word_file
from chatbot.adapters.documents.readers.office_zip import OfficeZip
from chatbot.adapters.documents.readers.text_encoding import decoded
from chatbot.domain.documents import Block, FailureReason, Unreadable

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # MS-CFB: old Office files, and new ones with a password
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_BINARY_ENDINGS = {".pdf", ".docx", ".xlsx", ".pptx"}
_PDF_HEADER_WITHIN = 1024  # bytes, as other readers allow

_TEXT_READERS: dict[str, Callable[[str], Iterator[Block]]] = {
    ".md": plain_text.markdown,
    ".markdown": plain_text.markdown,
    ".html": html_page.blocks,
    ".htm": html_page.blocks,
    ".csv": plain_text.rows,
    ".tsv": plain_text.rows,
    ".json": plain_text.json_values,
}
_OFFICE_READERS: dict[str, Callable[[OfficeZip], Iterator[Block]]] = {
    "word/document.xml": word_file.blocks,
    "xl/workbook.xml": spreadsheet.blocks,
    "ppt/presentation.xml": presentation.blocks,
}


def blocks(name: str, content: bytes) -> Iterator[Block]:
    """What a file says, as text that every store can keep.

    Args:
        name: File name, for its ending.
        content: The bytes.

    Raises:
        Unreadable: With the reason.
    """
    for block in _blocks(name, content):
        yield replace(block, text=_storable(block.text), table_header=_storable(block.table_header))


def _storable(text: str) -> str:
    """Without NUL, which ends strings in C, and with a mark for halves of surrogate pairs, which are no characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _blocks(name: str, content: bytes) -> Iterator[Block]:
    if not content:
        raise Unreadable(FailureReason.NO_TEXT)
    if b"%PDF-" in content[:_PDF_HEADER_WITHIN]:
        return pdf_file.blocks(content)
    if content.startswith(b"PK\x03\x04"):
        return _office(content)
    if content.startswith(_OLE):
        is_encrypted = _ENCRYPTED_PACKAGE in content
        raise Unreadable(FailureReason.ENCRYPTED if is_encrypted else FailureReason.UNSUPPORTED_TYPE)
    ending = PurePosixPath(name.lower()).suffix
    if ending in _BINARY_ENDINGS:
        raise Unreadable(FailureReason.DAMAGED)
    text = decoded(content)
    if ending not in _TEXT_READERS and text.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):
        ending = ".html"
    return _TEXT_READERS.get(ending, plain_text.paragraphs)(text)


def _office(content: bytes) -> Iterator[Block]:
    package = OfficeZip(content)
    for part, reader in _OFFICE_READERS.items():
        if part in package:
            return reader(package)
    raise Unreadable(FailureReason.UNSUPPORTED_TYPE)
