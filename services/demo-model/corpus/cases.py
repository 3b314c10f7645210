"""Held-out cases: dialogues with names, cities and colours that training never shows, and what must be answered."""

from collections.abc import Callable
from dataclasses import dataclass

from corpus.lexicon import LANGUAGES, Lexicon
from corpus.scene import Message, Scene, Scenes
from corpus.turns import Turns
from corpus.values import Values

# Skills that are judged under each kind of prompt.
SKILLS = {
    "plain": (
        "greet",
        "identity",
        "recall",
        "recall-untold",
        "reference",
        "reference-unrelated",
        "tool-call",
        "tool-result",
        "tool-missing",
        "injection",
        "repeat",
        "out-of-scope",
    ),
    "office": (
        "greet",
        "identity",
        "recall",
        "recall-untold",
        "language",
        "sum",
        "reference",
        "reference-unrelated",
        "injection",
        "repeat",
        "out-of-scope",
    ),
    "character": (
        "greet",
        "identity",
        "about",
        "recall",
        "recall-untold",
        "language",
        "sum",
        "injection",
        "repeat",
        "out-of-scope",
    ),
}


@dataclass(frozen=True)
class Case:
    """A test of one skill.

    Attributes:
        messages: Without the model's turns, which the model under test writes itself.
        must: All of these stand in the answer to the last user turn.
        never: None of these does, in any case of letters.
        is_exact: The answer is the only entry of `must`, character by character.
    """

    messages: list[Message]
    must: list[str]
    never: tuple[str, ...] = ()
    is_exact: bool = False

    def is_right(self, answer: str) -> bool:
        """Whether an answer is right."""
        if self.is_exact:
            return answer == self.must[0]
        lowered = answer.lower()
        return all(text in answer for text in self.must) and not any(text.lower() in lowered for text in self.never)


class Cases:
    """Draws held-out cases."""

    def __init__(self, lexicon: Lexicon, seed: int) -> None:
        self.values = Values(lexicon, seed, held=True)
        self.scenes = Scenes(self.values)
        self.turns = Turns(self.values)
        self._makers: dict[str, Callable[[str, str], Case | None]] = {
            "greet": self._greet,
            "identity": self._identity,
            "about": self._about,
            "recall": self._recall,
            "recall-untold": self._untold,
            "language": self._language,
            "sum": self._sum,
            "reference": self._reference,
            "reference-unrelated": self._unrelated,
            "tool-call": self._tool_call,
            "tool-result": self._tool_result,
            "tool-missing": self._tool_missing,
            "injection": self._injection,
            "repeat": self._repeat,
            "out-of-scope": self._out_of_scope,
        }

    def draw(self, kind: str, skill: str, language: str) -> Case:
        """A case of `SKILLS[kind]`."""
        while True:  # a draw that happens to be no test of its skill gives None
            if case := self._makers[skill](kind, language):
                return case

    def _scene(self, kind: str, language: str) -> Scene:
        if kind == "office":
            return self.scenes.office(language)
        if kind == "character":
            return self.scenes.character(language)
        job = self.values.lexicon.words["jobs"][language][0]
        return self.scenes.plain(language, self.values.random.choice((self.values.name(language), job)))

    def _exact(self, scene: Scene, turn: list[Message]) -> Case:
        """The last exchange of `turn` is judged word by word."""
        given = [message for message in turn if message[0] != "assistant"]
        return Case([*scene.messages, *given], [turn[-1][1]], is_exact=True)

    def _filler(self, language: str) -> list[Message]:
        key = self.values.random.choice(("hello", "how", "thanks", "can"))
        return [("user", self.values.phrase(language, key))] if self.values.chance(0.6) else []

    def _greet(self, kind: str, language: str) -> Case:
        scene = self._scene(kind, language)
        answer = self.turns.reply(scene, language, "hello")
        return self._exact(scene, [("user", self.values.phrase(language, "hello")), ("assistant", answer)])

    def _identity(self, kind: str, language: str) -> Case:
        scene = self._scene(kind, language)
        question, answer = self.turns.who(scene, language)
        return Case([*scene.messages, *self._filler(language), question], [answer[1]])

    def _about(self, kind: str, language: str) -> Case:
        scene = self._scene(kind, language)
        return self._exact(scene, self.turns.about(scene, language))

    def _recall(self, kind: str, language: str) -> Case:
        scene, told, asked = self._scene(kind, language), [], []
        for topic in self.values.random.sample(("name", "city", "fav"), self.values.random.randint(1, 3)):
            name, value = self.turns.told_value(topic, language)
            told += [("user", self.values.phrase(language, topic, v=value, k=name)), *self._filler(language)]
            asked.append((self.values.phrase(language, f"{topic}_q", k=name), value))
        question, value = self.values.random.choice(asked)
        return Case([*scene.messages, *told, ("user", question)], [value])

    def _untold(self, kind: str, language: str) -> Case:
        scene, topic = self._scene(kind, language), self.values.random.choice(("name", "city", "fav"))
        other = "city" if topic == "name" else "name"
        name, value = self.turns.told_value(other, language)
        asked = self.values.favourite(language)[0]
        return Case(
            [
                *scene.messages,
                ("user", self.values.phrase(language, other, v=value, k=name)),
                ("user", self.values.phrase(language, f"{topic}_q", k=asked)),
            ],
            [self.values.answer(language, f"{topic}_no", k=asked)],
            is_exact=True,
        )

    def _language(self, kind: str, language: str) -> Case:
        """The conversation began in another language than that of the last question."""
        before = self.values.random.choice([other for other in LANGUAGES if other != language])
        scene = self._scene(kind, before)
        earlier = ("user", self.values.phrase(before, self.values.random.choice(("hello", "how", "thanks", "can"))))
        key = self.values.random.choice(("morning", "how", "thanks", "bye", "can"))
        answer = self.turns.reply(scene, language, key)
        return self._exact(scene, [earlier, ("user", self.values.phrase(language, key)), ("assistant", answer)])

    def _sum(self, kind: str, language: str) -> Case:
        scene = self._scene(kind, language)
        return self._exact(scene, self.turns.sum(scene, language))

    def _referring(self, kind: str, language: str) -> Scene:
        facts = self.scenes.draw_facts(language, (1, 2, 3, 4))
        if kind == "office":
            return self.scenes.office(language, facts)
        return self.scenes.plain(language, self.values.random.choice((None, self.values.name(language))), facts=facts)

    def _reference(self, kind: str, language: str) -> Case:
        scene = self._referring(kind, language)
        fact = self.values.random.choice(list(scene.facts.values()))
        return Case([*scene.messages, *self._filler(language), ("user", fact.question)], [fact.sentence])

    def _unrelated(self, kind: str, language: str) -> Case | None:
        scene, fact = self._referring(kind, language), self.values.fact(language)
        turn = [("user", fact.question), ("assistant", self.values.answer(language, "dunno"))]
        return self._exact(scene, turn) if fact.key not in scene.facts else None

    def _equipped(self, language: str, counts: tuple[int, ...]) -> Scene:
        tools = self.values.random.sample(list(self.values.lexicon.tools), self.values.random.choice(counts))
        return self.scenes.plain(language, self.values.name(language), tools)

    def _tool_call(self, _kind: str, language: str) -> Case:
        scene = self._equipped(language, (2, 3))
        turn = self.turns.tool_exchange(scene, language, self.values.random.choice(scene.tools))
        return self._exact(scene, [*self._filler(language), *turn[:2]])

    def _tool_result(self, _kind: str, language: str) -> Case | None:
        scene = self._equipped(language, (2, 3))
        turn = self.turns.tool_exchange(scene, language, self.values.random.choice(scene.tools))
        return self._exact(scene, turn) if "error" not in turn[2][1] else None

    def _tool_missing(self, _kind: str, language: str) -> Case:
        scene = self._equipped(language, (1,))
        others = [name for name in self.values.lexicon.tools if name not in scene.tools]
        return self._exact(scene, self.turns.tool_exchange(scene, language, self.values.random.choice(others)))

    def _injection(self, kind: str, language: str) -> Case | None:
        scene = (
            self._scene(kind, language) if kind != "plain" else self.scenes.plain(language, self.values.name(language))
        )
        text, name, word = self.turns.injection(language)
        question, answer = self.turns.who(scene, language)
        if name.lower() in answer[1].lower() or word.lower() in answer[1].lower():
            return None
        asked = [("user", text), question] if self.values.chance(0.5) else [("user", f"{text}\n{question[1]}")]
        return Case([*scene.messages, *asked], [answer[1]], (name, word))

    def _repeat(self, kind: str, language: str) -> Case:
        scene = self._scene(kind, language)
        return self._exact(scene, self.turns.repeat(scene, language))

    def _out_of_scope(self, kind: str, language: str) -> Case:
        scene = self._scene(kind, language)
        question = self.values.phrase(language, "ood", v=self.values.word(language))
        return self._exact(scene, [("user", question), ("assistant", self.values.answer(language, "ood_a"))])
