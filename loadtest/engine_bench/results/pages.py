"""Results that are published: pages keep a place for each, between two marks."""

from collections.abc import Iterable
from pathlib import Path


def put_between(page: Path, mark: str, lines: Iterable[str]) -> None:
    """Replace what stands between `<!-- mark: begin -->` and `<!-- mark: end -->`; the rest stays.

    Raises:
        ValueError: The page has no such marks.
    """
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, begun, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"{page} has no {begin} … {end}")
    page.write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}")
