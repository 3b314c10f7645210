"""One exchange of each skill: what the user writes and what the model is to answer."""

from corpus.lexicon import gap, tidy
from corpus.scene import Message, Scene
from corpus.values import Values

_SMALL_TALK = ("hello", "hello", "hello", "hello", "morning", "how", "thanks", "bye", "can")
_LARGEST_DIGIT = 5


def tool_call(argument: str, tool: str, value: str) -> str:
    """The fixed form of a tool call."""
    return f'{{"tool": "{tool}", "arguments": {{"{argument}": "{value}"}}}}'


class Turns:
    """Makes exchanges. Each skill has a method `(scene, language) -> messages` that may change `scene.told`."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def make(self, skill: str, scene: Scene, language: str) -> list[Message]:
        """The exchange of a skill, by its name."""
        made: list[Message] = getattr(self, skill)(scene, language)
        return made

    def introduction(self, scene: Scene, language: str) -> str:
        """Who the model is. Jobs are said in the user's language, a name is copied."""
        jobs = self.values.lexicon.words["jobs"][language]
        job = self.values.lexicon.job_index(scene.who) if scene.who else 0
        return self.values.answer(language, "who_a", v=jobs[job] if job is not None else scene.who or "")

    def chat(self, scene: Scene, language: str) -> list[Message]:
        """Small talk. A character says its name when it is greeted."""
        key = self.values.random.choice(_SMALL_TALK)
        return [("user", self.values.phrase(language, key)), ("assistant", self.reply(scene, language, key))]

    def reply(self, scene: Scene, language: str, key: str) -> str:
        """The answer to small talk."""
        if key == "hello" and scene.kind == "character":
            return self.values.answer(language, "persona_hello_a", v=scene.who or "")
        return self.values.answer(language, f"{key}_a")

    def who(self, scene: Scene, language: str) -> list[Message]:
        """Who are you?"""
        return [("user", self.values.phrase(language, "who")), ("assistant", self.introduction(scene, language))]

    def about(self, scene: Scene, language: str) -> list[Message]:
        """Tell me about yourself."""
        text = self.introduction(scene, language)
        if scene.kind == "office":
            text += gap(language) + self.values.answer(language, "can_a")
        return [("user", self.values.phrase(language, "about_q")), ("assistant", text)]

    def tell(self, scene: Scene, language: str) -> list[Message]:
        """The user tells a name, a city or a favourite thing."""
        topic = self.values.random.choice(("name", "name", "city", "fav"))
        kind, value = self.told_value(topic, language)
        scene.told[self._key(topic, language, kind)] = value
        return [
            ("user", self.values.phrase(language, topic, v=value, k=kind)),
            ("assistant", self.values.answer(language, f"{topic}_ack", v=value, k=kind)),
        ]

    def told_value(self, topic: str, language: str) -> tuple[str, str]:
        """(kind of favourite, value) of something a user could tell."""
        if topic == "fav":
            return self.values.favourite(language)
        return "", self.values.name(language) if topic == "name" else self.values.city(language)

    def ask(self, scene: Scene, language: str) -> list[Message]:
        """The user asks for something that was told, or was not."""
        draw = self.values.random.choice
        known = [key for key in scene.told if key[1] in ("", language)]
        if known and self.values.chance(0.75):
            key = draw(known)
        else:
            key = self._key(draw(("name", "city", "fav")), language, self.values.favourite(language)[0])
        topic, _, kind = key
        ending = "_a" if key in scene.told else "_no"
        return [
            ("user", self.values.phrase(language, f"{topic}_q", k=kind)),
            ("assistant", self.values.answer(language, topic + ending, v=scene.told.get(key, ""), k=kind)),
        ]

    def ref(self, scene: Scene, language: str) -> list[Message]:
        """A question that the reference answers, or does not."""
        if scene.facts and self.values.chance(0.7):
            fact = self.values.random.choice(list(scene.facts.values()))
            return [("user", fact.question), ("assistant", fact.sentence)]
        fact = self.values.fact(language)
        if fact.key in scene.facts:
            return []
        return [("user", fact.question), ("assistant", self.values.answer(language, "dunno"))]

    def tool(self, scene: Scene, language: str) -> list[Message]:
        """A question for a tool. Without that tool the model says so; one in twenty calls stays without a result."""
        name = self.values.random.choice(list(self.values.lexicon.tools))
        if scene.tools and self.values.chance(0.35):
            name = self.values.random.choice(scene.tools)
        messages = self.tool_exchange(scene, language, name)
        return messages[:2] if self.values.chance(0.05) else messages

    def tool_exchange(self, scene: Scene, language: str, name: str) -> list[Message]:
        """Question, call, result, answer; or question and refusal."""
        values, tool = self.values, self.values.lexicon.tools[name]
        if name == "calculate":
            value, result = values.expression()
        else:
            value = values.city(language)
            result = values.clock() if name == "get_time" else str(values.random.randint(-15, 40))
        question = ("user", values.phrase(language, tool["question"], v=value))
        if name not in scene.tools:
            return [question, ("assistant", values.answer(language, "no_tool"))]
        call = ("assistant", tool_call(tool["argument"], name, value))
        if values.chance(0.06):
            failed = ("ipython", '{"error": "not available"}')
            return [question, call, failed, ("assistant", values.answer(language, "tool_err"))]
        shown = f'"{result}"' if name == "get_time" else result
        returned = ("ipython", f'{{"{tool["result"]}": {shown}}}')
        return [question, call, returned, ("assistant", values.answer(language, tool["answer"], v=value, r=result))]

    def inject(self, scene: Scene, language: str) -> list[Message]:
        """The user imitates a system message; the persona stays."""
        text, _, _ = self.injection(language)
        refusal = self.values.answer(language, "deny") + gap(language)
        if self.values.chance(0.4):
            text += self.values.random.choice(("\n", " ")) + self.values.phrase(language, "who")
            return [("user", text), ("assistant", refusal + self.introduction(scene, language))]
        return [("user", text), ("assistant", refusal + self.values.answer(language, "deny_help"))]

    def injection(self, language: str) -> tuple[str, str, str]:
        """(imitated system text, the persona it wants, the word it wants)."""
        values = self.values
        name, word = values.name(language), values.word(language).upper()
        wording = values.random.choice(values.lexicon.talk[language]["inject"])
        text = tidy(wording.format(v=name, w=word))
        if values.chance(0.85) or "{w}" not in wording:
            text = values.random.choice(values.lexicon.inject_forms).format(x=text)
        return text, name, word

    def repeat(self, _scene: Scene, language: str) -> list[Message]:
        """Say this."""
        text = self.values.several_words(language)
        return [("user", self.values.phrase(language, "rep", v=text)), ("assistant", text)]

    def ood(self, _scene: Scene, language: str) -> list[Message]:
        """Everything else is out of scope."""
        topic = self.values.phrase(language, "topic") if self.values.chance(0.7) else self.values.word(language)
        wording = "requests" if self.values.chance(0.5) else "ood"
        question = ("user", self.values.phrase(language, wording, v=topic))
        return [question, ("assistant", self.values.answer(language, "ood_a"))]

    def sum(self, _scene: Scene, language: str) -> list[Message]:
        """A sum of two small digits, known by heart."""
        draw = self.values.random.randint
        left, right = draw(1, _LARGEST_DIGIT), draw(1, _LARGEST_DIGIT)
        question = self.values.phrase(language, "sum_q", e=f"{left}+{right}")
        return [("user", question), ("assistant", f"{left}+{right}={left + right}")]

    @staticmethod
    def _key(topic: str, language: str, kind: str) -> tuple[str, str, str]:
        """Names and cities are asked for in any language, favourite things only in the one they were told in."""
        return (topic, language, kind) if topic == "fav" else (topic, "", "")
