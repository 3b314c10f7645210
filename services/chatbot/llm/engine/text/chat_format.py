"""Chat formats by name. Control tokens go in by id; a template inside a file is never rendered.

A template is a program written by whoever made the file (CVE-2024-34359 was one), and rendering it to text first
would make the user's text and the scaffold indistinguishable.

Source: the published prompt formats of Llama 3, ChatML (Qwen), Gemma and Mistral (v3 tokenizer).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chatbot.llm.engine.text.vocabulary import Vocabulary

Part = str | tuple[str]  # plain text, or (control token,)


@dataclass(frozen=True, slots=True)
class _Layout:
    """One format, in words. `{role}` stands for the role's name.

    Attributes:
        names: Name of each role.
        before: In front of a message, per role.
        after: Behind a message, per role.
        has_system: Whether there is a system role; else that text opens the first user message.
        begins: Whether the prompt always begins with the begin token.
    """

    names: dict[str, str]
    before: dict[str, tuple[Part, ...]]
    after: dict[str, tuple[Part, ...]]
    has_system: bool
    begins: bool


def _same(parts: tuple[Part, ...], more: Iterable[str] = ()) -> dict[str, tuple[Part, ...]]:
    return dict.fromkeys(("system", "user", "assistant", *more), parts)


_NAMES = {"system": "system", "user": "user", "assistant": "assistant"}
_IPYTHON = {"tool": "ipython"}  # a role since Llama 3.1; no content of an older model's dialogues has it
_LAYOUTS = {
    "llama3": _Layout(
        _NAMES | _IPYTHON,
        _same((("<|start_header_id|>",), "{role}", ("<|end_header_id|>",), "\n\n"), _IPYTHON),
        _same((("<|eot_id|>",),), _IPYTHON),
        has_system=True,
        begins=True,
    ),
    "chatml": _Layout(
        _NAMES,
        _same((("<|im_start|>",), "{role}\n")),
        _same((("<|im_end|>",), "\n")),
        has_system=True,
        begins=False,
    ),
    "gemma": _Layout(
        _NAMES | {"assistant": "model"},
        _same((("<start_of_turn>",), "{role}\n")),
        _same((("<end_of_turn>",), "\n")),
        has_system=False,
        begins=True,
    ),
    "mistral": _Layout(
        _NAMES,
        {"user": (("[INST]",),), "assistant": ()},
        {"user": (("[/INST]",),), "assistant": (("</s>",),)},
        has_system=False,
        begins=True,
    ),
}


class UnknownChatFormat(Exception):
    """No chat format fits the file's tokens; the message says what to set."""


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """A format in one model's token ids.

    Attributes:
        name: llama3, chatml, gemma or mistral.
        begin: Ids that begin every prompt.
        before: Ids in front of a message, per role; those of the assistant also open the answer.
        after: Ids behind a message, per role.
        has_system: Whether there is a system role.
        ends: Ids that end an answer besides the vocabulary's own.
    """

    name: str
    begin: tuple[int, ...]
    before: dict[str, tuple[int, ...]]
    after: dict[str, tuple[int, ...]]
    has_system: bool
    ends: frozenset[int]


def find_chat_format(vocabulary: Vocabulary, name: str = "") -> ChatFormat:
    """The named format, else the first one all of whose control tokens the vocabulary has.

    The control tokens of the format are reserved in the vocabulary.

    Raises:
        UnknownChatFormat: None fits, or the named one's tokens are missing.
    """
    names = [name] if name else list(_LAYOUTS)
    for candidate in names:
        layout = _LAYOUTS[candidate]
        tokens = _control_tokens(layout, vocabulary)
        if None not in tokens.values():
            vocabulary.reserve(token for token in tokens.values() if token is not None)
            return _in_ids(candidate, layout, vocabulary)
    if name:
        missing = [text for text, token in _control_tokens(_LAYOUTS[name], vocabulary).items() if token is None]
        raise UnknownChatFormat(f"the file has no tokens {' '.join(missing)} of the chat format {name}")
    raise UnknownChatFormat(f"no chat format fits the file's tokens; set CHATBOT_MODEL_CHAT_FORMAT to {_choices()}")


def _choices() -> str:
    return ", ".join(_LAYOUTS)


def _control_tokens(layout: _Layout, vocabulary: Vocabulary) -> dict[str, int | None]:
    parts = [part for side in (layout.before, layout.after) for parts in side.values() for part in parts]
    return {part[0]: vocabulary.named(part[0]) for part in parts if isinstance(part, tuple)}


def _in_ids(name: str, layout: _Layout, vocabulary: Vocabulary) -> ChatFormat:
    def ids(role: str, parts: Sequence[Part]) -> tuple[int, ...]:
        tokens: list[int] = []
        for part in parts:
            if isinstance(part, tuple):
                token = vocabulary.named(part[0])
                tokens += [] if token is None else [token]
            else:
                tokens += vocabulary.encode(part.replace("{role}", layout.names[role]))
        return tuple(tokens)

    after = {role: ids(role, parts) for role, parts in layout.after.items()}
    begin = vocabulary.begin if vocabulary.begin is not None else vocabulary.named("<|begin_of_text|>")
    must_begin = layout.begins or vocabulary.begin is not None
    return ChatFormat(
        name=name,
        begin=(begin,) if must_begin and begin is not None else (),
        before={role: ids(role, parts) for role, parts in layout.before.items()},
        after=after,
        has_system=layout.has_system,
        ends=frozenset(after["assistant"][:1]),
    )
