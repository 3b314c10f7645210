"""Korean particles behind a name (은/는, 이/가, 을/를, 와/과, 으로/로, 아/야), by the sound that the name ends with.

A card is written once and played with any name, so its author cannot know which one is right.
"""

import re
from typing import Final

_PAIRS: Final = (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("으로", "로"), ("아", "야"))
_PAIR_OF: Final = {form: pair for pair in _PAIRS for form in pair}
_BOTH: Final = "|".join(
    form
    for one, other in _PAIRS
    for form in (rf"{one}/{other}", rf"{other}/{one}", rf"{one}\({other}\)", rf"{other}\({one}\)")
)
# 아/야 and 이 before more Hangul are no particles of one form only (이라고, 야단), so those are changed in pairs alone.
_WRITTEN: Final = re.compile(
    rf"({_BOTH}|\(은\)는|\(으\)로|\(이\)(?=[가-힣]))|(으로|은|는|이|가|을|를|와|과|로)(?![가-힣])"
)
_FIRST_SYLLABLE: Final = 0xAC00
_LAST_SYLLABLE: Final = 0xD7A3
_FINALS: Final = 28
_RIEUL: Final = 8
# How digits are read: 영 일 이 삼 사 오 육 칠 팔 구. 1, 7 and 8 end with ㄹ.
_DIGIT_FINALS: Final = {"0": 21, "1": _RIEUL, "2": 0, "3": 16, "4": 0, "5": 0, "6": 1, "7": _RIEUL, "8": _RIEUL, "9": 0}


def particle(name: str, text: str, at: int) -> tuple[str, int]:
    """The particle that stands in a text behind a name, in the form that the name asks for.

    Args:
        name: What the text has before it.
        text: The text.
        at: Where in it the name ends.

    Returns:
        The right form and where the particle ends; "" and `at` where there is none, or where nobody knows how the
        name is read.
    """
    found = _WRITTEN.match(text, at)
    if found is None:
        return "", at
    final = _final(name)
    if final is None:
        return "", at
    return _form(found[0], final), found.end()


def _form(written: str, final: int) -> str:
    if written == "(이)":
        return "이" if final else ""
    known = next(
        form
        for form in ("으로", "(으)", "은", "는", "이", "가", "을", "를", "과", "와", "로", "아", "야")
        if form in written
    )
    with_final, without = _PAIR_OF["으로" if known == "(으)" else known]
    if with_final == "으로":
        return "으로" if final not in (0, _RIEUL) else "로"
    return with_final if final else without


def _final(name: str) -> int | None:
    """Number of the final consonant that a name is read with, 0 for none; None where it is not known."""
    last = name.rstrip("\"'”’)]』」!?. ")[-1:]
    if last in _DIGIT_FINALS and last:
        return _DIGIT_FINALS[last]
    if last and _FIRST_SYLLABLE <= ord(last) <= _LAST_SYLLABLE:
        return (ord(last) - _FIRST_SYLLABLE) % _FINALS
    return None
