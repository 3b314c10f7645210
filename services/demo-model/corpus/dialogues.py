"""Training dialogues."""

from collections.abc import Mapping

from corpus.lexicon import LANGUAGES, Lexicon
from corpus.scene import Message, Scene, Scenes
from corpus.turns import Turns
from corpus.values import Values

_PLAIN_SKILLS = {
    "chat": 9,
    "who": 8,
    "tell": 20,
    "ask": 15,
    "ref": 12,
    "tool": 16,
    "inject": 8,
    "repeat": 10,
    "ood": 6,
}
_SERVICE_SKILLS = {
    "chat": 9,
    "who": 18,
    "tell": 15,
    "ask": 15,
    "ref": 10,
    "inject": 6,
    "repeat": 6,
    "ood": 6,
    "sum": 3,
    "about": 3,
    "tool": 2,
}
_SERVICE_SHARE, _MISSING_TOOL_SHARE = 0.64, 0.08


class Dialogues:
    """Draws training dialogues: most under the services' prompts, the others under free ones and with tools."""

    def __init__(self, lexicon: Lexicon, seed: int) -> None:
        self.values = Values(lexicon, seed)
        self.scenes = Scenes(self.values)
        self.turns = Turns(self.values)

    def draw(self) -> list[Message]:
        """One dialogue with at least one answer."""
        kind = self.values.random.random()
        if kind < _SERVICE_SHARE:
            messages = self._service()
        elif kind < _SERVICE_SHARE + _MISSING_TOOL_SHARE:
            messages = self._missing_tools()
        else:
            messages = self._plain()
        return messages if any(role == "assistant" for role, _ in messages) else self.draw()

    def _service(self) -> list[Message]:
        """Under the prompt of office or character; Korean twice as often."""
        values, language = self.values, self.values.random.choice(("ko", *LANGUAGES))
        if values.chance(0.5):
            facts = self.scenes.draw_facts(language, (1, 2, 2, 3, 4, 5)) if values.chance(0.4) else {}
            scene = self.scenes.office(language, facts)
        elif values.chance(0.08):
            scene = self.scenes.character_of(values.random.choice(values.lexicon.personas["examples"]), language)
        else:
            scene = self.scenes.character(language)
        plan = values.random.choice(("mixed", "quiz", "quiz", "first"))
        if plan == "quiz":
            skills = ["ref"] * values.random.choice((2, 3, 4)) if scene.facts else self._quiz()
        else:
            count = 1 if plan == "first" else values.random.choice((2, 3, 4, 5, 6, 8))
            skills = self._choose(_SERVICE_SKILLS, count)
        return self._play(scene, skills, 0.9)

    def _quiz(self) -> list[str]:
        """Several things are told, then asked for: which value belongs to which question is hard for a small model."""
        draw = self.values.random.choice
        skills = ["tell"] * draw((1, 2, 2, 3, 3)) + ["chat"] * draw((0, 0, 1, 2)) + ["ask"] * draw((1, 2, 3))
        if self.values.chance(0.3):
            self.values.random.shuffle(skills)
        return skills

    def _plain(self) -> list[Message]:
        values, language = self.values, self.values.random.choice(LANGUAGES)
        tools = self._tools((1, 2, 3)) if values.chance(0.45) else []
        facts = self.scenes.draw_facts(language, (1, 1, 2, 3, 4)) if values.chance(0.5) else {}
        scene = self.scenes.plain(language, self._who(language), tools, facts)
        count = values.random.choice((1, 2, 3, 4, 5, 6)) if values.chance(0.95) else values.random.randint(10, 16)
        return self._play(scene, self._choose(_PLAIN_SKILLS, count), 0.95)

    def _missing_tools(self) -> list[Message]:
        """Questions for tools that are listed and for tools that are not."""
        values, language = self.values, self.values.random.choice(LANGUAGES)
        who = values.name(language) if values.chance(0.6) else values.pick("jobs", language)
        scene = self.scenes.plain(language, who, self._tools((1, 1, 2)))
        return self._play(scene, ["tool"] * values.random.choice((1, 2, 3, 4)), 0.95)

    def _play(self, scene: Scene, skills: list[str], same_language: float) -> list[Message]:
        """The scene with these exchanges. It ends at a tool call that got no result."""
        messages = list(scene.messages)
        for skill in skills:
            is_same = self.values.chance(same_language)
            language = scene.language if is_same else self.values.random.choice(LANGUAGES)
            messages += self.turns.make(skill, scene, language)
            if messages and messages[-1][1].startswith('{"tool"'):
                break
        return messages

    def _choose(self, weights: Mapping[str, int], count: int) -> list[str]:
        return self.values.random.choices(list(weights), list(weights.values()), k=count)

    def _tools(self, counts: tuple[int, ...]) -> list[str]:
        return self.values.random.sample(list(self.values.lexicon.tools), self.values.random.choice(counts))

    def _who(self, language: str) -> str | None:
        values = self.values
        kind = values.random.choice(("nobody", "nobody", "job", "name", "name"))
        if kind == "nobody":
            return None
        if kind == "name":
            return values.name(language if values.chance(0.7) else "en")
        return values.pick("jobs", language if values.chance(0.6) else "en")
