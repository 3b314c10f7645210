"""Chat formats by name. Control tokens go in by id; a template inside a file is never rendered.

A template is a program written by whoever made the file (CVE-2024-34359 was one), and rendering it to text first
would make the user's text and the scaffold indistinguishable.

Source: the published prompt formats of Llama 3, ChatML (Qwen), Gemma and Mistral (its tokenizers V3 and after).
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
        has_system: Whether there is a system role, unless a vocabulary lacks it; else that text opens the first user
            message.
        begins: Whether the prompt always begins with the begin token.
        may_lack: Roles that not every vocabulary of the format has tokens for.
    """

    names: dict[str, str]
    before: dict[str, tuple[Part, ...]]
    after: dict[str, tuple[Part, ...]]
    has_system: bool
    begins: bool
    may_lack: frozenset[str] = frozenset()


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
        {
            "system": (("[SYSTEM_PROMPT]",),),  # since tokenizer V7
            "user": (("[INST]",),),
            "assistant": (),
            "tools": (("[AVAILABLE_TOOLS]",),),
            "tool": (("[TOOL_RESULTS]",),),
        },
        {
            "system": (("[/SYSTEM_PROMPT]",),),
            "user": (("[/INST]",),),
            "assistant": (("</s>",),),
            "tools": (("[/AVAILABLE_TOOLS]",),),
            "tool": (("[/TOOL_RESULTS]",),),
        },
        has_system=True,
        begins=True,
        may_lack=frozenset(("system", "tools", "tool")),
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
        before: Ids in front of a message, per role; those of the assistant also open the answer. What is said of tools
            is a role of its own where there is a place for it.
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
    for candidate in [name] if name else _LAYOUTS:
        layout = _LAYOUTS[candidate]
        if not _missing(layout, vocabulary):
            roles = [role for role in layout.before if not _lacks(layout, role, vocabulary)]
            named = (vocabulary.named(name) for role in roles for name in _names(layout, role))
            vocabulary.reserve(token for token in named if token is not None)
            return _in_ids(candidate, layout, roles, vocabulary)
    if name:
        missing = " ".join(_missing(_LAYOUTS[name], vocabulary))
        raise UnknownChatFormat(f"the file has no tokens {missing} of the chat format {name}")
    raise UnknownChatFormat(f"no chat format fits the file's tokens; set CHATBOT_MODEL_CHAT_FORMAT to {_choices()}")


def _choices() -> str:
    return ", ".join(_LAYOUTS)


def _names(layout: _Layout, role: str) -> list[str]:
    return [part[0] for part in (*layout.before[role], *layout.after[role]) if isinstance(part, tuple)]


def _lacks(layout: _Layout, role: str, vocabulary: Vocabulary) -> list[str]:
    return [name for name in _names(layout, role) if vocabulary.named(name) is None]


def _missing(layout: _Layout, vocabulary: Vocabulary) -> list[str]:
    """Control tokens that a vocabulary of the format must have, and this one has not."""
    roles = [role for role in layout.before if role not in layout.may_lack]
    return list(dict.fromkeys(name for role in roles for name in _lacks(layout, role, vocabulary)))


def _in_ids(name: str, layout: _Layout, roles: Sequence[str], vocabulary: Vocabulary) -> ChatFormat:
    def ids(role: str, parts: Sequence[Part]) -> tuple[int, ...]:
        tokens: list[int] = []
        for part in parts:
            if isinstance(part, tuple):
                token = vocabulary.named(part[0])
                tokens += [] if token is None else [token]
            else:
                tokens += vocabulary.encode(part.replace("{role}", layout.names.get(role, "")))
        return tuple(tokens)

    after = {role: ids(role, layout.after[role]) for role in roles}
    begin = vocabulary.begin if vocabulary.begin is not None else vocabulary.named("<|begin_of_text|>")
    must_begin = layout.begins or vocabulary.begin is not None
    return ChatFormat(
        name=name,
        begin=(begin,) if must_begin and begin is not None else (),
        before={role: ids(role, layout.before[role]) for role in roles},
        after=after,
        has_system=layout.has_system and "system" in roles,
        ends=frozenset(after["assistant"][:1]),
    )
