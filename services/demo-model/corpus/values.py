"""Random values: names, places, favourite things, facts, sums."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from corpus.lexicon import Lexicon, tidy

_RARE = 0.5  # share of words with rarer characters: those arrive as several byte tokens and must be copied too


@dataclass(frozen=True)
class Fact:
    """One sentence of a reference. The right answer to `question` is `sentence`; `key` tells facts apart."""

    key: str
    sentence: str
    question: str


class Values:
    """Draws values from the word lists and invents words.

    `held` switches to names, cities and colours that training never shows.
    """

    def __init__(self, lexicon: Lexicon, seed: int, *, held: bool = False) -> None:
        self.lexicon = lexicon
        self.random = random.Random(seed)
        self.held = held
        # What names are made of: the 2,350 syllables of KS X 1001 and the 2,965 kanji of JIS level 1.
        self._more_hangul, self._more_kanji = _rows("euc_kr", 0xB0, 0xC8), _rows("euc_jp", 0xB0, 0xCF)
        self._shapes: dict[str, Callable[[str], str]] = {
            "time": lambda _: self.clock(),
            "num": lambda _: str(self.random.choice((self._upto(20), self._upto(999), self._upto(9999)))),
            "name": self.name,
            "day": lambda language: self.pick("days", language),
            "city": self.city,
            "code": lambda _: self._code(),
            "phone": lambda _: f"{self.random.randint(100, 999)}-{self.random.randint(1000, 9999)}",
        }

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def phrase(self, language: str, key: str, **values: str) -> str:
        """One of the wordings of `key`, filled in."""
        return tidy(self.random.choice(self.lexicon.talk[language][key]).format(**values))

    def answer(self, language: str, key: str, **values: str) -> str:
        """The model's wording of `key`: there is only one, which keeps its distribution narrow."""
        return tidy(self.lexicon.talk[language][key][0].format(**values))

    def pick(self, kind: str, language: str) -> str:
        """One entry of a word list."""
        return str(self.random.choice(self.lexicon.words[kind][language]))

    def word(self, language: str) -> str:
        """A word that does not exist."""
        return {"ko": self._korean_word, "ja": self._japanese_word}.get(language, self._latin_word)()

    def name(self, language: str) -> str:
        """A person's name."""
        source = "en" if language != "en" and self.chance(0.15) else language
        return self._known_or_new("names", source, 0.25)

    def city(self, language: str) -> str:
        """A city's name."""
        source = "en" if language != "en" and self.chance(0.1) else language
        return self._known_or_new("cities", source, 0.45)

    def favourite(self, language: str) -> tuple[str, str]:
        """A kind of thing and the one that is liked best."""
        kinds = self.lexicon.words["favourites"][language]
        if self.held:
            return next(iter(kinds)), self.pick("held_values", language)
        kind = self.random.choice(list(kinds))
        return kind, self.random.choice(kinds[kind]) if self.chance(0.5) else self.word(language)

    def fact(self, language: str) -> Fact:
        """A fact for a reference."""
        number = self.random.randrange(len(self.lexicon.facts[language]))
        shape = self.lexicon.facts[language][number]
        subject, value = self._subject(language, shape["subject"]), self._shapes[shape["value"]](language)
        sentence = tidy(shape["sentence"].format(s=subject, v=value))
        return Fact(f"{number}{subject}", sentence, tidy(self.random.choice(shape["questions"]).format(s=subject)))

    def clock(self) -> str:
        """A time of day."""
        return f"{self.random.randrange(24):02d}:{self.random.randrange(0, 60, 5):02d}"

    def expression(self) -> tuple[str, str]:
        """A calculation for the tool, with its result."""
        left = self.random.choice((self.random.randint(2, 20), self.random.randint(2, 999)))
        right = self.random.choice((self.random.randint(2, 12), self.random.randint(2, 99)))
        sign = self.random.choice("+-*")
        return f"{left} {sign} {right}", str({"+": left + right, "-": left - right, "*": left * right}[sign])

    def several_words(self, language: str) -> str:
        """Something to repeat."""
        liked = [value for values in self.lexicon.words["favourites"][language].values() for value in values]
        draws: list[Callable[[], str]] = [
            lambda: self.word(language),
            lambda: self.word(language),
            lambda: str(self.random.choice(liked)),
            lambda: str(self.random.randint(0, 999)),
            lambda: self.name(language),
        ]
        return " ".join(self.random.choice(draws)() for _ in range(self.random.choice((1, 1, 2, 3, 4, 6))))

    def _upto(self, most: int) -> int:
        return self.random.randint(1, most)

    def _code(self) -> str:
        return self.word("en") + self.random.choice((str(self._upto(999)), "-" + self.word("en")))

    def _subject(self, language: str, kind: str) -> str:
        subject = self.pick(f"{kind}s", language) if self.chance(0.85) else self.word(language)
        if self.chance(0.45):
            adjective = self.pick("adjectives", language) if self.chance(0.8) else self.word(language)
            subject = adjective + ("" if language == "ja" else " ") + subject
        return subject

    def _known_or_new(self, kind: str, language: str, known_share: float) -> str:
        held = self.lexicon.words[f"held_{kind}"][language]
        if self.held:
            return str(self.random.choice(held)) if self.chance(0.6) else self._new_word(language)
        return self.pick(kind, language) if self.chance(known_share) else self._new_word(language)

    def _new_word(self, language: str) -> str:
        words = self.lexicon.words
        banned = {w for kind in ("held_names", "held_cities") for held in words[kind].values() for w in held}
        while True:
            word = self.word(language)
            word = word.capitalize() if language == "en" else word
            if word not in banned and len(word) > 1:
                return word

    def _korean_word(self) -> str:
        if self.chance(_RARE):
            return self._spell("hangul", (1, 2, 3), self._more_hangul)
        return self._spell("hangul", (2, 2, 3, 3, 4))

    def _japanese_word(self) -> str:
        script = self.random.random()
        if script < _RARE:
            return self._spell("kanji", (1, 2, 2, 3), self._more_kanji)
        if script < 0.45:
            return self._spell("kanji", (1, 2, 2, 3, 4))
        if script < 0.7:
            return self._spell("hiragana", (2, 3, 4))
        return self._spell("katakana", (2, 3, 4, 5))

    def _latin_word(self) -> str:
        letters = self.lexicon.words["letters"]
        syllables = [
            "".join(self.random.choice(letters[part]) for part in ("onsets", "vowels", "codas"))
            for _ in range(self.random.choice((1, 2, 2, 2, 3)))
        ]
        return "".join(syllables)[:12]

    def _spell(self, script: str, lengths: tuple[int, ...], rarer: str = "") -> str:
        """A word in a script; with `rarer`, half of its characters are of those."""
        letters = self.lexicon.words["letters"][script]
        return "".join(
            self.random.choice(rarer if rarer and self.chance(0.5) else letters)
            for _ in range(self.random.choice(lengths))
        )


def _rows(encoding: str, first: int, last: int) -> str:
    """The characters in some rows of a two-byte encoding."""
    cells = (bytes((row, cell)) for row in range(first, last + 1) for cell in range(0xA1, 0xFF))
    return "".join(cell.decode(encoding, errors="ignore") for cell in cells)
