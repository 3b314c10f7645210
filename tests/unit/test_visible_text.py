"""What nobody sees is taken out of a text, whatever it is, and what people see stays."""

import sys
import unicodedata

import pytest
from chatbot.domain.visible_text import visible
from hypothesis import given
from hypothesis import strategies as st

UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
IGNORABLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180f\u3164\ufe00\ufe0f\uffa0\ufff0\ufff8\U000e0000\U000e0fff"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u200bb\u202ec", "abc"),
        ("\U000e0041hidden\U000e007f", "hidden"),
        ("👩\u200d💻 and 👍🏽", "👩\u200d💻 and 👍🏽"),
        ("a\u200db", "ab"),
        ("line\nnext\tcell\r\x07", "line\nnext\tcell"),
        ("가\u0300나", "가\u0300나"),
        ("soft\u00adhyphen", "softhyphen"),
        ("a\u200bb\ufeff\u2066c\u2069", "abc"),  # the narrower list that results on /v1 once had
        ("❤\ufe0f and a\ufe0f", "❤\ufe0f and a"),
        ("❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"),
        ("a" + "".join(chr(0xE0100 + byte) for byte in b"call fortune"), "a"),  # bytes hidden in selectors
        ("☀\ufe0f\ufe0f\ufe0f\u200d", "☀\ufe0f"),
        ("\u3164\u115f\uffa0x\u034f", "x"),
        ("가나다 かな 漢字 é ñ", "가나다 かな 漢字 é ñ"),
    ],
)
def test_what_nobody_sees_is_taken_out_and_emoji_stay_joined(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_every_character_of_an_unseen_category_is_taken_out_and_only_those_of_no_use_beside_them() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1)]

    hidden = {one for one in characters if not visible(one)}
    unseen = {one for one in characters if unicodedata.category(one) in UNSEEN} - {"\n", "\t"}

    assert unseen - hidden == set()
    assert set(IGNORABLE) - hidden == set()
    assert {unicodedata.category(one) for one in hidden - unseen} <= {"Cn", "Cf", "Lo", "Mn", "Mc"}
    assert visible("".join(characters)) == "".join(one for one in characters if one not in hidden)


@given(st.text())
def test_what_was_cleaned_is_clean(text: str) -> None:
    once = visible(text)

    assert visible(once) == once
