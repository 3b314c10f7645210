"""In which of our languages somebody wrote."""

import unicodedata
from collections import Counter


def language_of(text: str, otherwise: str) -> str:
    """ko, ja or en by the letters of a text.

    Args:
        text: What somebody wrote.
        otherwise: The answer where the letters do not tell.
    """
    letters = filter(str.isalpha, unicodedata.normalize("NFKC", text))
    scripts = Counter(unicodedata.name(letter, "").split(" ")[0] for letter in letters)
    if scripts["HANGUL"]:
        return "ko"
    if scripts["HIRAGANA"] or scripts["KATAKANA"]:
        return "ja"
    return "en" if scripts["LATIN"] and not scripts["CJK"] else otherwise
