"""Text as people see it: what others wrote reaches a model and a screen without characters that nobody sees."""

import re
from typing import Final

_JOINER: Final = "\u200d"  # of pictographs
_IN_COLOUR: Final = "\ufe0f"  # shows one as an emoji
# The general categories Cc, Cf, Cs, Co, Zl and Zp and the property Default_Ignorable_Code_Point of Unicode 17, but for
# line breaks, tabs and the two above, of which the neighbours decide. Written as ranges, because long texts are looked
# at on the event loop, and a function for each character takes ten times as long.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\uf8ff\ufe00-\ufe0e\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]+"
)
# Pictographs: the blocks that emoji are in. Only beside one do the joiner and the selector of colour show anything.
_PICTOGRAPH: Final = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_LONELY: Final = re.compile(
    f"(?<![{_PICTOGRAPH}]){_IN_COLOUR}|(?<![{_PICTOGRAPH}{_IN_COLOUR}]){_JOINER}|{_JOINER}(?![{_PICTOGRAPH}])"
)


def visible(text: str) -> str:
    """Text without characters that nobody sees: controls, directions, tags, spaces without width; emoji stay joined.

    Source:
        Unicode general categories and Default_Ignorable_Code_Point (UAX #44); UTS #51 for emoji.
    """
    return _LONELY.sub("", _UNSEEN.sub("", text))
