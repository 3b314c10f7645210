"""The word lists and templates, and the few rules of language that filling them in needs."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "ko", "ja")
# Letters and digits whose Korean or English name ends in a consonant.
_CLOSED_ASCII = "013678lmnLMN"
_RIEUL = 8  # this final consonant takes the particle of an open syllable before "로"


@dataclass(frozen=True)
class Lexicon:
    """Everything a dialogue is made of.

    Attributes:
        words: Lists of values by kind, then by language.
        talk: Wordings by language, then by purpose; keys ending in `_a`, `_ack`, `_no` and `_r` are the model's.
        facts: Shapes of reference sentences by language.
        inject_forms: Ways to imitate a system message.
        tools: Tool name -> its argument, and the keys of its question, answer and result.
        personas: Parts of character prompts by kind, then by language; and whole ones, as in the project's README.
    """

    words: dict[str, Any]
    talk: dict[str, dict[str, list[str]]]
    facts: dict[str, list[dict[str, Any]]]
    inject_forms: list[str]
    tools: dict[str, dict[str, str]]
    personas: dict[str, Any]

    @classmethod
    def load(cls) -> "Lexicon":
        """Read the JSON files beside this module."""
        words, phrases, personas = (
            json.loads(Path(__file__).with_name(f"{name}.json").read_text())
            for name in ("words", "phrases", "personas")
        )
        return cls(words=words, personas=personas, **phrases)

    def job_index(self, who: str) -> int | None:
        """Place of a job name in the lists of `jobs`, which correspond between languages; None for a name."""
        return next((jobs.index(who) for jobs in self.words["jobs"].values() if who in jobs), None)


def tidy(text: str) -> str:
    """Choose the Korean particle that fits the word before it: "민지(은/는)" becomes "민지는"."""

    def particle(match: re.Match[str]) -> str:
        letter, closed, opened = match.groups()
        code = ord(letter) - 0xAC00
        final = code % 28 if 0 <= code < 11172 else int(letter in _CLOSED_ASCII)
        if closed == "으로" and final == _RIEUL:
            final = 0
        return letter + (closed if final else opened)

    return re.sub(r"(\S)\(([가-힣]+)/([가-힣]+)\)", particle, text)


def gap(language: str) -> str:
    """What stands between two sentences."""
    return "" if language == "ja" else " "
