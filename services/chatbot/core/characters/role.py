"""A character in one answer: from prompt files, a persona and a conversation to what the model is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chatbot.core.characters.lore import Told
from chatbot.core.characters.macros import Macros
from chatbot.core.characters.persona import Persona
from chatbot.core.prompt import PromptTemplates
from chatbot.domain.chat import Dialogue, Message, Turn
from chatbot.domain.generation import Sampling

_CALLED: Final = "The user is called {user}."


@dataclass(frozen=True, slots=True)
class Role:
    """Who answers, and for whom.

    Attributes:
        greeting: What the character says first; "" says nothing.
        user_name: How the user is called; "" where nobody said it.
        seed: Of choices that differ between answers (`{{random}}` in late parts).
    """

    persona: Persona
    greeting: str = ""
    user_name: str = ""
    seed: str = ""

    def dialogue(self, templates: PromptTemplates, turns: Sequence[Turn], question: str) -> Dialogue:
        """A question with the stored turns before it."""
        made = templates.dialogue(self._fields(), turns, question)
        return replace(made, system=self._system(templates, made), opening=self._opening())

    def exchange(self, templates: PromptTemplates, brought: Dialogue) -> Dialogue:
        """A dialogue that the caller brought, with the character before it and the caller's own system text behind.

        The greeting is told unless the caller's messages begin with one.
        """
        made = templates.dialogue(self._fields(), (), "")
        system = "\n\n".join(filter(None, (self._system(templates, made), brought.system.strip())))
        begins = bool(brought.history) and brought.history[0].role == "assistant"
        return replace(brought, system=system, opening=() if begins else self._opening())

    def directed(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue with what comes late: lore that it calls for, the user's name, the card's last instructions."""
        text = "\n\n".join(filter(None, (self.lore_text(self.lore(dialogue)), self.called(), self.post_history())))
        if not text:
            return dialogue
        return replace(dialogue, rounds=(Message("system", text), *dialogue.rounds))

    def lore(self, dialogue: Dialogue) -> Told:
        """Entries that a dialogue calls for."""
        said = (*dialogue.opening, *dialogue.history, dialogue.question)
        return self.persona.matcher.told(said, self.persona.hidden)

    def lore_text(self, told: Told) -> str:
        """Those of them that are not told always."""
        entries = self.persona.character.lorebook.entries
        return "\n".join(
            self._macros(f"lore{number}").expand(entries[number].content)
            for number in told.entries
            if number not in self.persona.constant
        )

    def post_history(self) -> str:
        """The card's last instructions."""
        return self._macros("post_history").expand(self.persona.character.post_history).strip()

    def sampling(self, defaults: Sampling) -> Sampling:
        """The service's sampling with what the character wants."""
        return replace(defaults, **self.persona.character.sampling.given())

    def shorter(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue without examples: what goes first where space is short."""
        examples = self.persona.examples
        return replace(dialogue, system=dialogue.system.replace(examples, "", 1)) if examples else dialogue

    def _system(self, templates: PromptTemplates, made: Dialogue) -> str:
        persona = self.persona
        if not persona.system:
            return made.system + persona.examples
        fields = {"character_name": persona.character.display_name, "context": "", "greeting": ""}
        original = templates.dialogue(fields, (), "").system
        macros = Macros(persona.character.display_name, persona.user_word, persona.revision + "system", original)
        return "\n\n".join(filter(None, (macros.expand(persona.system).strip(), persona.who))) + persona.examples

    def _fields(self) -> dict[str, str]:
        persona = self.persona
        return {"character_name": persona.character.display_name, "context": persona.who, "greeting": ""}

    def _opening(self) -> tuple[Message, ...]:
        return (Message("assistant", self.greeting),) if self.greeting else ()

    def called(self) -> str:
        """The user's name, said to the model; "" where nobody said it."""
        return _CALLED.format(user=self.user_name) if self.user_name else ""

    def _macros(self, part: str) -> Macros:
        persona = self.persona
        user = self.user_name or persona.user_word
        return Macros(persona.character.display_name, user, self.seed + part)


def greeting_of(persona: Persona, index: int, user_name: str) -> str:
    """One of the character's greetings; the same for the whole conversation. "" where there is none."""
    greetings = persona.character.greetings
    if index >= len(greetings):
        return ""
    macros = Macros(
        persona.character.display_name, user_name or persona.user_word, f"{persona.revision}greeting{index}"
    )
    return macros.expand(greetings[index]).strip()
