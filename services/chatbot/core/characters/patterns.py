"""Patterns that strangers write, as RE2 reads them: time grows with the text alone, whatever the pattern.

Look-around and back-references are not in that language (https://github.com/google/re2/wiki/Syntax): such a pattern
matches nothing.
"""

import re
from typing import Final

import re2

MAX_MEMORY_BYTES: Final = 64 * 1024
"""Of one compiled pattern."""

_DELIMITED: Final = re.compile(r"/(.+)/([a-z]{0,8})", re.DOTALL)


class Pattern:
    """A compiled pattern."""

    def __init__(self, compiled: "re2._Regexp") -> None:
        self._compiled = compiled

    def is_in(self, text: str) -> bool:
        """Whether it matches anywhere in a text."""
        return self._compiled.search(text) is not None


def pattern(text: str, *, is_case_sensitive: bool) -> Pattern | None:
    """A pattern, also of the form `/…/i`; None where RE2 cannot have it."""
    flags = ""
    if found := _DELIMITED.fullmatch(text):
        text, flags = found[1], found[2]
    options = re2.Options()
    options.max_mem = MAX_MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = is_case_sensitive and "i" not in flags
    options.dot_nl = "s" in flags
    try:
        return Pattern(re2.compile(text, options))
    except re2.error:
        return None
