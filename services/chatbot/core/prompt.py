"""Prompt files: what a service tells its model besides the question.

A prompt file is a JSON object of texts. `system` is the system prompt; `opening`, if there, is a message of the
assistant that comes before all history. `{name}` in a text is replaced by the request's value of that name, once and
literally: braces in what a user wrote stay plain text.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from chatbot.domain.chat import Dialogue, Message, Turn
from chatbot.domain.generation import Backend

MAX_FILE_BYTES = 64 * 1024
SMOKE_QUESTION = "1+1="

_FILE_OF = {Backend.LLAMA: "config-Llama.json", Backend.OPENAI: "config-OpenAI.json"}
_PLACEHOLDERS: dict[str, tuple[str, ...]] = {"office": (), "character": ("character_name", "context", "greeting")}
_KEYS = ("system", "opening")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class PromptFileError(ValueError):
    """A prompt file cannot be used; the message names the file, what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class PromptTemplates:
    """The texts of one prompt file.

    Attributes:
        system: Template of the system prompt.
        opening: Template of the assistant's opening message; "" is none.
    """

    system: str
    opening: str = ""

    @classmethod
    def shipped(cls, service: str, backend: Backend) -> "PromptTemplates":
        """The file that comes with the package."""
        name = _FILE_OF[backend]
        text = resources.files("chatbot").joinpath("prompts", service, name).read_text("utf-8")
        return cls.parse(text, name, _PLACEHOLDERS[service])

    @classmethod
    def load(cls, service: str, backend: Backend, folder: Path | None) -> "PromptTemplates":
        """The file of `folder` where it has one, else the shipped one.

        Raises:
            PromptFileError: The file is there and cannot be used.
        """
        if folder is None:
            return cls.shipped(service, backend)
        path = folder / _FILE_OF[backend]
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls.shipped(service, backend)
        except OSError as exc:
            raise PromptFileError(f"{path}: cannot be read ({exc.strerror})") from exc
        if len(data) > MAX_FILE_BYTES:
            raise PromptFileError(f"{path}: {len(data)} bytes; at most {MAX_FILE_BYTES} are allowed")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise PromptFileError(f"{path}: not UTF-8 at byte {exc.start}") from exc
        return cls.parse(text, str(path), _PLACEHOLDERS[service])

    @classmethod
    def parse(cls, text: str, name: str, placeholders: Iterable[str]) -> "PromptTemplates":
        """Check the text of a prompt file.

        Args:
            text: JSON.
            name: Of the file, for messages.
            placeholders: Names that `{…}` may hold.

        Raises:
            PromptFileError: Not a JSON object of texts, a key that is missing or unknown, or an unknown placeholder.
        """
        texts = _texts(text, name)
        allowed = tuple(placeholders)
        for key, template in texts.items():
            unknown = [found for found in _PLACEHOLDER.findall(template) if found not in allowed]
            if unknown:
                may = ", ".join(f"{{{a}}}" for a in allowed) or "none in this service"
                raise PromptFileError(f"{name}: unknown placeholder {{{unknown[0]}}} in {key!r}; allowed: {may}")
        return cls(**texts)

    def dialogue(self, fields: Mapping[str, str], history: Iterable[Turn], question: str) -> Dialogue:
        """What the model is asked to continue.

        Args:
            fields: Values of the placeholders; one that is not given is empty.
            history: Turns, oldest first.
            question: The user's new message.
        """
        opening = _fill(self.opening, fields)
        said = [(Message("user", turn.question), Message("assistant", turn.answer)) for turn in history]
        return Dialogue(
            system=_fill(self.system, fields),
            opening=(Message("assistant", opening),) if opening else (),
            history=tuple(message for pair in said for message in pair),
            question=Message("user", question),
        )

    def smoke(self) -> Dialogue:
        """The dialogue that a freshly loaded model must answer."""
        names = {name: "Smoke" for template in (self.system, self.opening) for name in _PLACEHOLDER.findall(template)}
        return self.dialogue(names, (), SMOKE_QUESTION)


def _texts(text: str, name: str) -> dict[str, str]:
    """The object in a prompt file.

    Raises:
        PromptFileError: As `PromptTemplates.parse`.
    """
    try:
        texts = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise PromptFileError(f"{name}: not JSON ({exc})") from exc
    if not isinstance(texts, dict) or not all(isinstance(value, str) for value in texts.values()):
        raise PromptFileError(f"{name}: must be a JSON object whose values are texts")
    unknown = sorted(set(texts) - set(_KEYS))
    if unknown:
        raise PromptFileError(f"{name}: unknown key {unknown[0]!r}; allowed: {', '.join(_KEYS)}")
    if not texts.get("system", "").strip():
        raise PromptFileError(f"{name}: the key 'system' is missing or empty")
    return texts


def _fill(template: str, fields: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: fields.get(match[1], ""), template).strip()
