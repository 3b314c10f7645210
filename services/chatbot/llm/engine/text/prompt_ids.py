"""A dialogue as token ids, shortened to fit: oldest pairs go, system prompt, opening and question never.

What is dropped is dropped in large steps. Dropping one pair every turn would move the cut every turn, and each time
the whole prompt behind it would have to be computed again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from chatbot.llm.engine.frames import DecisionFrame, DialogueFrame, SamplingFrame
from chatbot.llm.engine.text.answer_memory import AnswerMemory
from chatbot.llm.engine.text.chat_format import ChatFormat
from chatbot.llm.engine.text.tool_tokens import ToolTokens
from chatbot.llm.engine.text.vocabulary import Vocabulary

DEFAULT_MAX_TOKENS = 1024
LEAST_DECISION_TOKENS = 16
"""Room for a decision even where the answer may have fewer tokens: one call takes some."""
_NO_TOKENS = np.empty(0, np.int32)
_NO_TOOL_TOKENS = ToolTokens()
_DROP_SHARE = 0.35  # of the budget, at once: down to about 65 %


class DialogueTooLong(Exception):
    """It does not fit, even shortened.

    Attributes:
        field: system, question, history (of a dialogue that may not be shortened) or max_tokens.
        prompt_tokens: Tokens of the shortest allowed prompt.
    """

    def __init__(self, field: str, prompt_tokens: int) -> None:
        super().__init__(field)
        self.field = field
        self.prompt_tokens = prompt_tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits.

    Attributes:
        ids: int32 array of shape (n,).
        shared_tokens: Length of the part that other conversations begin with too (system prompt and opening).
        max_tokens: Most tokens of the answer.
        asked: What a decision begins with, behind them.
        decision_tokens: Most tokens of the decision.
    """

    ids: NDArray[np.int32]
    shared_tokens: int
    max_tokens: int
    asked: NDArray[np.int32] = field(default_factory=lambda: _NO_TOKENS)
    decision_tokens: int = 0


class PromptBuilder:
    """Builds prompts for one model. May be called from any thread."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        chat_format: ChatFormat,
        context_tokens: int,
        memory: AnswerMemory,
        tool_tokens: ToolTokens = _NO_TOOL_TOKENS,
    ) -> None:
        self._vocabulary = vocabulary
        self._format = chat_format
        self._context_tokens = context_tokens
        self._memory = memory
        self._tool_tokens = tool_tokens

    def build(self, dialogue: DialogueFrame, sampling: SamplingFrame, decision: DecisionFrame | None = None) -> Prompt:
        """Token ids of a dialogue and room for its answer, and for a decision in its place.

        Raises:
            DialogueTooLong: It does not fit.
        """
        head, is_open = self._head(dialogue)
        mark = dialogue.get("mark", "")
        groups = [self._render(group, mark) for group in _pairs(dialogue["history"])]
        tools, tail = self._tools(dialogue), self._tail(dialogue)
        asked = self._begun(decision["text"], mark) if decision else []
        spare = len(asked) + LEAST_DECISION_TOKENS if decision else 0
        wanted = sampling["max_tokens"]
        self._check_fixed(head, [*tools, *tail], wanted, spare)
        reserve = wanted if wanted is not None else min(DEFAULT_MAX_TOKENS, self._context_tokens // 2)
        slack = len(self._format.after["user"]) if is_open else 0
        budget = max(0, self._context_tokens - max(reserve, spare) - len(head) - len(tools) - len(tail) - slack)
        dropped = _pairs_to_drop([len(group) for group in groups], budget)
        if dropped and not dialogue["may_shorten"]:
            raise DialogueTooLong("history", len(head) + sum(map(len, groups)) + len(tools) + len(tail))
        head, kept = self._joined(head, groups[dropped:], tools, tail, is_open)
        ids = np.array([*head, *(token for group in kept for token in group)], np.int32)
        left = self._context_tokens - len(ids)
        most = sampling.get("most_tokens")
        answer_tokens = min(reserve if most is None else most, left)
        if decision is None:
            return Prompt(ids, len(head), answer_tokens)
        longest = decision["most_tokens"] or reserve
        decision_tokens = min(max(LEAST_DECISION_TOKENS, longest), left - len(asked))
        return Prompt(ids, len(head), answer_tokens, np.array(asked, np.int32), decision_tokens)

    def _head(self, dialogue: DialogueFrame) -> tuple[list[int], bool]:
        """System prompt and opening; and whether they leave a user message open.

        Where a format has no system role, that text opens the first user message, whichever that is after the
        oldest pairs were dropped.
        """
        head = list(self._format.begin)
        system, mark = dialogue["system"].strip(), dialogue.get("mark", "")
        is_open = bool(system) and not self._format.has_system
        if is_open:
            head += [*self._format.before["user"], *self._vocabulary.encode(system + "\n\n")]
        elif system:
            head += self._render([("system", system)], mark)
        if is_open and dialogue["opening"]:
            opening = self._continued(self._render(dialogue["opening"], mark))
            return [*head, *opening], False
        return [*head, *self._render(dialogue["opening"], mark)], is_open

    def _joined(
        self, head: list[int], groups: list[list[int]], tools: list[int], tail: list[int], is_open: bool
    ) -> tuple[list[int], list[list[int]]]:
        """The head and what follows it: the tools in front of the message with the question, wherever that begins."""
        if not is_open:
            return head, [*groups, tools, tail]
        if groups:
            return head, [self._continued(groups[0]), *groups[1:], tools, tail]
        begin = len(self._format.begin)
        return [*head[:begin], *tools, *head[begin:]], [self._continued(tail)]

    def _tools(self, dialogue: DialogueFrame) -> list[int]:
        """What is said of tools, where the format has a place for it."""
        said = dialogue.get("tools", "")
        return (
            self._render([("tools", said)], dialogue.get("mark", "")) if said and "tools" in self._format.before else []
        )

    def _tail(self, dialogue: DialogueFrame) -> list[int]:
        """The question, what came of it so far, and the beginning of the answer."""
        mark, begun = dialogue.get("mark", ""), dialogue.get("answer", "")
        asked = self._render(self._asked([dialogue["question"], *dialogue.get("rounds", ())]), mark)
        return [*asked, *self._format.before["assistant"], *(self._begun(begun, mark) if begun else ())]

    def _begun(self, text: str, mark: str) -> list[int]:
        """What calls begin with, or the decision about them."""
        return [*(self._tool_tokens.before_call if mark else ()), *self._encoded(text, mark)]

    def _encoded(self, text: str, mark: str) -> list[int]:
        """Tokens of a text, with those that are named between two marks. What a vocabulary lacks of them is text."""
        if not mark:
            return self._vocabulary.encode(text)
        ids: list[int] = []
        plain = ""
        for number, part in enumerate(text.split(mark)):
            token = self._tool_tokens.by_name.get(part) if number % 2 else None
            if token is None:
                plain += part
                continue
            ids += [*self._vocabulary.encode(plain), token]
            plain = ""
        return [*ids, *self._vocabulary.encode(plain)]

    def _asked(self, messages: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """The messages as the format can have them: without a system role its text goes on in the user's message."""
        if self._format.has_system:
            return messages
        joined: list[tuple[str, str]] = []
        for role, content in messages:
            if role == "system" and joined and joined[-1][0] == "user":
                joined[-1] = ("user", f"{joined[-1][1].strip()}\n\n{content}")
            else:
                joined.append((role, content))
        return joined

    def _continued(self, rendered: list[int]) -> list[int]:
        """Messages behind an open user message: a user's goes on in it, another one closes it first."""
        before = list(self._format.before["user"])
        if rendered[: len(before)] == before:
            return rendered[len(before) :]
        return [*self._format.after["user"], *rendered]

    def _render(self, messages: Sequence[tuple[str, str]], mark: str) -> list[int]:
        ids: list[int] = []
        for role, content in messages:
            known = self._memory.recall(content) if role == "assistant" else None
            is_known = role in self._format.before and (role != "system" or self._format.has_system)
            side = role if is_known else "user"
            ids += self._format.before[side]
            ids += known if known is not None else self._encoded(content.strip(), mark)
            ids += self._format.after[side]
        return ids

    def _check_fixed(self, head: list[int], tail: list[int], wanted: int | None, spare: int) -> None:
        fixed = len(head) + len(tail)
        if fixed + spare >= self._context_tokens:
            raise DialogueTooLong("system" if len(head) > len(tail) else "question", fixed)
        if wanted is not None and fixed + wanted > self._context_tokens:
            raise DialogueTooLong("max_tokens", fixed)


def _pairs(history: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Messages grouped from each user message to the next."""
    groups: list[list[tuple[str, str]]] = []
    for role, content in history:
        if role == "user" or not groups:
            groups.append([])
        groups[-1].append((role, content))
    return groups


def _pairs_to_drop(sizes: list[int], budget: int) -> int:
    """How many of the oldest pairs go so that the rest fits.

    The dropped tokens are rounded up to multiples of 35 % of the budget. So the cut stays where it is for many
    turns, without anything being remembered between them.
    """
    excess = sum(sizes) - budget
    if excess <= 0:
        return 0
    step = max(1, int(budget * _DROP_SHARE))
    least, rounded = (_count_to_reach(sizes, tokens) for tokens in (excess, -(-excess // step) * step))
    return rounded if rounded < len(sizes) else least


def _count_to_reach(sizes: list[int], tokens: int) -> int:
    total = 0
    for count, size in enumerate(sizes):
        if total >= tokens:
            return count
        total += size
    return len(sizes)
