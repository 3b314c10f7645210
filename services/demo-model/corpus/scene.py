"""Where a dialogue takes place: the system prompt, the persona and what the model has been given."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from corpus.lexicon import LANGUAGES, tidy
from corpus.values import Fact, Values

Message = tuple[str, str]  # (role, text); roles: system, opening (a greeting that is given), user, assistant, ipython
PROMPTS = Path(__file__).parents[2] / "chatbot" / "prompts"


@dataclass
class Scene:
    """A dialogue's setting and what was told in it so far.

    Attributes:
        kind: `plain` (free prompts, tools), `office` or `character` (the prompts of the services).
        who: The name or job that the model answers with; None where the prompt gives none.
        context: The persona's description, for `character`.
        facts: The reference, by `Fact.key`.
        told: What the user told of themselves, by (topic, language, kind).
    """

    kind: str
    language: str
    who: str | None
    messages: list[Message]
    context: str = ""
    tools: list[str] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)
    told: dict[tuple[str, str, str], str] = field(default_factory=dict)


class Scenes:
    """Draws scenes. `who` and `facts` can be given, for cases that judge them."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self._templates = {
            kind: json.loads((PROMPTS / kind / "config-Llama.json").read_text()) for kind in ("office", "character")
        }

    def draw_facts(self, language: str, counts: tuple[int, ...]) -> dict[str, Fact]:
        """About as many different facts as one of `counts` says."""
        facts = (self.values.fact(language) for _ in range(self.values.random.choice(counts)))
        return {fact.key: fact for fact in facts}

    def plain(
        self, language: str, who: str | None, tools: list[str] | None = None, facts: dict[str, Fact] | None = None
    ) -> Scene:
        """A scene under a free prompt. Half of the prompts of Korean and Japanese scenes are in English."""
        values, tools, facts = self.values, tools or [], facts or {}
        prompt_language = self._or_english(language)
        parts = [self._you_are(prompt_language, who)] if who else []
        if tools:
            listed = ", ".join(f"{tool}({values.lexicon.tools[tool]['argument']})" for tool in tools)
            parts.append(values.phrase(prompt_language, "tools", v=listed))
        if facts:
            parts.append(self._reference(prompt_language, facts))
        text = ("\n" if values.chance(0.6) else " ").join(parts)
        return Scene("plain", language, who, [("system", text)] if text else [], tools=tools, facts=facts)

    def office(self, language: str, facts: dict[str, Fact] | None = None) -> Scene:
        """A scene under the prompt of office; references follow it on lines of their own."""
        text = self._templates["office"]["system"]
        if facts:
            text += "\n" + self._reference(self._or_english(language), facts)
        job = self.values.lexicon.words["jobs"]["en"][0]
        return Scene("office", language, job, [("system", text)], facts=facts or {})

    def character(self, language: str, who: str | None = None) -> Scene:
        """A scene under the prompt of character, in most cases with a greeting."""
        values = self.values
        who = who or self.persona(language)
        prompt_language = self._or_any(language)
        context = self._context(prompt_language, who) if values.chance(0.95) else ""
        greeting = ""
        if values.chance(0.85):
            greeting_language = self._or_any(language)
            wording = values.random.choice(values.lexicon.personas["greetings"][greeting_language])
            greeting = tidy(wording.format(v=who, c=values.city(greeting_language)))
        return self.character_of({"character_name": who, "context": context, "greeting": greeting}, language)

    def character_of(self, fields: Mapping[str, str], language: str) -> Scene:
        """The scene of one request to character."""
        text = self._templates["character"]["system"]
        for name in ("character_name", "context"):
            text = text.replace(f"{{{name}}}", fields[name])
        opening = [("opening", fields["greeting"])] if fields["greeting"] else []
        return Scene(
            "character", language, fields["character_name"], [("system", text), *opening], context=fields["context"]
        )

    def persona(self, language: str) -> str:
        """A character's name: a plain one, or one with a title."""
        values = self.values
        language = self._or_any(language)
        name = values.name(language)
        if not values.chance(0.3):
            return name
        title = values.random.choice(values.lexicon.personas["titles"][language])
        return str(title.format(v=name, w=values.name(language), n=values.random.randint(1, 99)))

    def _or_english(self, language: str) -> str:
        return language if self.values.chance(0.5) else "en"

    def _or_any(self, language: str) -> str:
        return language if self.values.chance(0.7) else self.values.random.choice(LANGUAGES)

    def _you_are(self, prompt_language: str, who: str) -> str:
        jobs = self.values.lexicon.words["jobs"]
        job_language = next((language for language in LANGUAGES if who in jobs[language]), None)
        if job_language:
            return self.values.phrase(job_language, "you_job", v=who)
        return self.values.phrase(prompt_language, "you_are", v=who)

    def _reference(self, prompt_language: str, facts: dict[str, Fact]) -> str:
        joint = "\n" if self.values.chance(0.3) else " "
        return self.values.phrase(prompt_language, "ref", v=joint.join(fact.sentence for fact in facts.values()))

    def _context(self, language: str, who: str) -> str:
        """One to six sentences; names of others in them must not be mistaken for the persona's."""
        count = self.values.random.choice((1, 1, 1, 2, 2, 3, 4, 6))
        return (" " if language != "ja" else "").join(
            self._trait(language, who, is_first=number == 0) for number in range(count)
        )

    def _trait(self, language: str, who: str, *, is_first: bool) -> str:
        values, personas = self.values, self.values.lexicon.personas
        shapes = personas["contexts"][language]
        shape = values.random.choice(shapes[:7] if is_first and values.chance(0.7) else shapes)
        liked = values.random.choice(list(values.lexicon.words["favourites"][language].values()))
        draw = values.random.choice
        return tidy(
            shape.format(
                v=who,
                a=draw(personas["adjectives"][language]),
                b=draw(personas["adjectives"][language]),
                n=draw(personas["nouns"][language]),
                c=values.city(language),
                o=values.name(language),
                f=draw(liked),
                x=values.random.randint(5, 900),
            )
        )
