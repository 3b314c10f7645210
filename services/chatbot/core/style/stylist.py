"""Edits one answer to its rules while it is made: sentence by sentence, without the model.

What was shown is never changed, so what may have to change is held back: in a stream each sentence until its end, a
long first one until its last words.
"""

from enum import Enum, auto
from typing import Final

from chatbot.core.style.checks import Loops, Rules, broken, cleaned, forbidden_in, has_suffix, user_label
from chatbot.core.style.graphemes import graphemes
from chatbot.core.style.sentences import Scanner
from chatbot.core.style.spoken import is_spoken, language_in, spoken, spoken_end

HOLD_SECONDS: Final = 1.0
"""Of a stream's first sentence."""

_LATER: Final = 4
"""Later sentences are held so many times as long: whoever reads has something to read."""

_OPEN: Final = 100
"""How far back a marker can have begun."""

_TAIL: Final = 12
"""Characters that are kept of a text without spaces: what may still change stands at its end."""


class State(Enum):
    """Where an answer stands."""

    GOING = auto()
    ENOUGH = auto()
    """What is there is the answer: nothing that comes behind it is shown."""

    REFUSED = auto()
    """Nothing was shown, and no edit makes this answer one that keeps the rules."""


class Stylist:
    """One attempt at an answer.

    Args:
        rules: What it is held to.
        is_whole: Whether the answer is handed over in one piece: then nothing is shown before its end.
        may_refuse: Whether there can be another attempt.

    Attributes:
        raw: What the model said so far.
        shown: What was handed over.
        edited: Checks whose rule an edit served.
    """

    def __init__(self, rules: Rules, *, is_whole: bool, may_refuse: bool) -> None:
        self._rules = rules
        self._is_whole = is_whole
        self._may_refuse = may_refuse
        self.raw = ""
        self.shown = ""
        self.edited: set[str] = set()
        self.state = State.GOING
        self._ready = ""  # edited, and not handed over
        self._pending = ""  # of the sentence that is being made
        self._begun = ""  # what of that sentence is in `ready` or `shown` already
        self._at = 0  # of `pending` in `raw`
        self._scanner = Scanner()
        self._loops = Loops()
        self._sentences = 0
        self._suffixed = 0
        self._asked = 0
        self._is_late = False

    def feed(self, text: str, held_seconds: float = 0.0) -> str:
        """More of the answer; returns what is shown now.

        Args:
            text: As the model made it.
            held_seconds: How long the first text waits by now.
        """
        if self.state is not State.GOING:
            return ""
        self.raw += text
        self._pending += text
        self._is_late = held_seconds >= HOLD_SECONDS
        for border in self._scanner.feed(text):
            if border.is_pause:
                continue
            if self.state is not State.GOING:
                break
            cut = border.at - self._at
            self._take(self._pending[:cut])
            self._pending = self._pending[cut:]
            self._at = border.at
        if self.state is State.GOING and not self._is_whole:
            self._let_go()
        return self._show()

    def end(self, *, was_cut: bool) -> str:
        """The model is at its end; returns what is still to be shown.

        Args:
            was_cut: Whether it would have gone on.
        """
        if self.state is State.GOING and self._pending:
            is_torn = was_cut and self._rules.may_edit and not self._begun and self._sentences
            if is_torn and is_spoken(self._pending):
                self.edited.add("cut")
            else:
                self._take(self._pending)
            self._pending = ""
        if self.state is State.GOING:
            self._finish(self.raw)
        return self._show(is_end=True)

    def whole(self) -> str:
        """Everything that is shown or would be."""
        return (self.shown + self._ready).rstrip()

    def _finish(self, said: str) -> None:
        """The answer is whole; where nothing of it was shown, another may still take its place.

        Args:
            said: What the model said, up to here.
        """
        self.state = State.ENOUGH
        if not self.whole():
            self._ready = said.rstrip()  # all edits together left nothing: worse than a broken rule
        if not self.shown and self._may_refuse and broken(self.whole(), self._rules):
            self.state = State.REFUSED

    def _take(self, sentence: str) -> None:
        """A whole sentence, or what is left of one that began to be shown."""
        if not self._rules.may_edit:
            self._keep(sentence, sentence)
            return
        if self._speaks_for_user(sentence):
            self._stop("user_speech", sentence)
            return
        edited = cleaned(sentence, self._rules, begins_line=self._begins_line(sentence))
        if edited != sentence:
            self.edited.add("markers")
        if forbidden_in(edited, self._rules) and not self._begun:
            self.edited.add("forbidden")
            return
        if self._loops.hear(spoken(edited)):
            self._stop("loop", sentence)
            return
        edited = self._with_suffix(edited)
        if too_much := self._too_much(edited):
            self._stop(too_much, sentence)
            return
        self._keep(sentence, edited)

    def _keep(self, sentence: str, edited: str) -> None:
        self._sentences += is_spoken(self._begun + edited)
        self._ready += self._first(edited)
        self._begun = ""

    def _first(self, text: str) -> str:
        """An answer does not begin with white space that an edit left there."""
        return text if not self._rules.may_edit or self.whole() else text.lstrip()

    def _stop(self, check: str, sentence: str) -> None:
        """The answer ends before this sentence."""
        self.edited.add(check)
        self._ready = self._ready.rstrip()
        if self._begun and not self._ready:
            self._begun = ""
        self._finish(self.raw[: self._at + len(sentence)])

    def _with_suffix(self, sentence: str) -> str:
        rules, suffix = self._rules, self._rules.style.sentence_suffix
        has = has_suffix(self._begun + sentence, rules) if suffix.any else None
        if has is None:
            return sentence
        self._asked += 1
        if has or (self._suffixed / self._asked >= suffix.min_share):
            self._suffixed += has
            return sentence
        end = spoken_end(sentence)
        if end is None or self._is_full(sentence + suffix.any[0]):  # its last word was shown, or it would be too long
            return sentence
        self._suffixed += 1
        self.edited.add("suffix")
        return sentence[:end] + suffix.any[0] + sentence[end:]

    def _too_much(self, sentence: str) -> str:
        """The check that the answer would not pass with this sentence, where it can end before it; else ""."""
        style = self._rules.style
        if not self._sentences or self._begun or not sentence.strip():
            return ""
        if style.max_sentences is not None and self._sentences >= style.max_sentences and is_spoken(sentence):
            return "sentences"
        return "characters" if self._is_full(sentence) else ""

    def _is_full(self, sentence: str) -> bool:
        """Whether the answer is too long with this sentence."""
        most = self._rules.style.max_chars
        return most is not None and len(graphemes(self.whole() + sentence)) > most

    def _speaks_for_user(self, sentence: str) -> bool:
        return self._begins_line(sentence) and user_label(self._rules).match(sentence) is not None

    def _begins_line(self, sentence: str) -> bool:
        if self._begun:
            return False
        before = self.raw[: self._at] if self._at else ""
        return not before.strip() or before.endswith("\n") or "\n" in sentence[: len(sentence) - len(sentence.lstrip())]

    def _let_go(self) -> None:
        """Show the beginning of a sentence that takes too long."""
        if not self._rules.may_edit:
            self._begin_to_show(len(self._pending), self._pending)
            return
        has_shown = bool(self.shown or self._ready)
        most = self._rules.repair.hold_back_chars * (_LATER if has_shown else 1)
        is_late = self._is_late and not has_shown
        if not is_late and (len(self._pending) <= most or len(graphemes(self._pending)) <= most):
            return
        cut = _safe_cut(self._pending)
        if not cut:
            return
        if self._speaks_for_user(self._pending):
            self._stop("user_speech", self._pending)
        elif Loops().hear(spoken(self._pending)):
            self._stop("loop", self._pending)
        else:
            begins_line = self._begins_line(self._pending)
            self._begin_to_show(cut, cleaned(self._pending[:cut], self._rules, begins_line=begins_line))

    def _begin_to_show(self, cut: int, head: str) -> None:
        self._ready += self._first(head)
        self._begun += head
        self._pending = self._pending[cut:]
        self._at += cut

    def _show(self, *, is_end: bool = False) -> str:
        """Hand over what is ready; the first of it only if it may be the beginning of an answer."""
        told = self._ready.rstrip()
        if self.state is State.REFUSED or not told or (self._is_whole and not is_end):
            return ""
        if not self.shown and self.state is State.GOING and self._rules.may_edit:
            if self._is_undecided(told):
                return ""
            if self._may_refuse and self._is_wrong(told):
                self.state = State.REFUSED
                return ""
        self._ready = self._ready[len(told) :]
        self.shown += told
        return told

    def _is_undecided(self, told: str) -> bool:
        """Whether so little text does not tell its language yet."""
        language = self._rules.style.language
        is_short = len(told) <= self._rules.repair.hold_back_chars and not self._is_late
        return self._may_refuse and bool(language) and is_short and not language_in(told, language)

    def _is_wrong(self, told: str) -> bool:
        """Whether no answer that keeps the rules begins so."""
        unfit = set(broken(told, self._rules))
        return bool(unfit - {"suffix"} if self._begun else unfit)


def _safe_cut(text: str) -> int:
    """How much of a sentence can be shown before its end: not its last word, and nothing of an open marker."""
    bare = text.rstrip()
    spaces = [at for at, char in enumerate(bare) if char.isspace()]
    cut = spaces[-1] if spaces else len("".join(graphemes(bare)[:-_TAIL]))
    near = max(0, len(bare) - _OPEN)
    for opening in "{<[`*":
        at = bare.find(opening, near)
        cut = cut if at < 0 else min(cut, at)
    return cut if bare[:cut].strip() else 0
