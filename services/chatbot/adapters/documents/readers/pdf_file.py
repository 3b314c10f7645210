"""PDF by pypdf, page by page. A scanned page has no text: reading pictures is not done here."""

from collections.abc import Iterator
from io import BytesIO

from pypdf import PdfReader
from pypdf.errors import DependencyError, LimitReachedError, PyPdfError

from chatbot.domain.documents import Block, FailureReason, Unreadable

MAX_PAGES = 2000


def blocks(content: bytes) -> Iterator[Block]:
    """The text of each page.

    Raises:
        Unreadable: `encrypted`, `too_large` (pages), or `damaged`.
    """
    try:
        yield from _pages(content)
    except (Unreadable, MemoryError):
        raise
    except DependencyError:
        raise Unreadable(FailureReason.ENCRYPTED) from None  # an encryption that needs a password anyway
    except LimitReachedError:
        raise Unreadable(FailureReason.PARSER_MEMORY) from None
    except (PyPdfError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError, OSError):
        raise Unreadable(FailureReason.DAMAGED) from None  # what pypdf raises on hostile files is not a closed list


def _pages(content: bytes) -> Iterator[Block]:
    reader = PdfReader(BytesIO(content), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):  # with only an owner's password it may be read
        raise Unreadable(FailureReason.ENCRYPTED)
    if len(reader.pages) > MAX_PAGES:
        raise Unreadable(FailureReason.TOO_LARGE)
    for number, page in enumerate(reader.pages, start=1):
        text = page.extract_text().strip()
        if text:
            yield Block(text, page=number)
