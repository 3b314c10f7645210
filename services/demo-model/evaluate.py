"""Plays held-out dialogues with a GGUF through llama.cpp, greedily, and prints how many answers are right.

    python evaluate.py chatbot-demo.gguf --per-skill 200
    python evaluate.py chatbot-demo.gguf --failures failures.jsonl

The model writes every answer of a dialogue itself; the one to the last user turn is judged.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
from corpus.cases import SKILLS, Cases
from corpus.chat_form import SPECIALS, encode
from corpus.lexicon import LANGUAGES, Lexicon
from corpus.scene import Message

_LONGEST_ANSWER = 96  # tokens
_CONTEXT_TOKENS = 1024


class Chat:
    """A greedy chat over llama.cpp, one dialogue at a time."""

    def __init__(self, path: Path, threads: int) -> None:
        self._llama = llama_cpp.Llama(
            str(path), n_ctx=_CONTEXT_TOKENS, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self._special = {name: self._llama.tokenize(name.encode(), add_bos=False, special=True)[0] for name in SPECIALS}
        self._ends = {self._special["<|eot_id|>"], self._special["<|end_of_text|>"]}

    def answer(self, messages: Sequence[Message]) -> str:
        """The answer to a dialogue."""
        prompt, _ = encode(messages, self._text_ids, self._special, is_open=True)
        answer: list[int] = []
        for token in self._llama.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
            if token in self._ends or len(answer) >= _LONGEST_ANSWER:
                break
            answer.append(token)
        return str(self._llama.detokenize(answer).decode(errors="replace"))

    def play(self, messages: Sequence[Message]) -> list[Message]:
        """The dialogue with an answer after every message of the user and every result of a tool."""
        played: list[Message] = []
        for role, content in messages:
            played.append((role, content))
            if role in ("user", "ipython"):
                played.append(("assistant", self.answer(played)))
        return played

    def _text_ids(self, text: str) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=False))


def evaluate(
    chat: Chat, cases: Cases, kind: str, per_skill: int
) -> tuple[dict[tuple[str, str], Counter[bool]], list[str]]:
    """Counts of right and wrong answers by (skill, language), and the wrong dialogues as JSON lines."""
    counts: dict[tuple[str, str], Counter[bool]] = {}
    wrong = []
    for skill in SKILLS[kind]:
        for number in range(per_skill):
            language = LANGUAGES[number % len(LANGUAGES)]
            case = cases.draw(kind, skill, language)
            played = chat.play(case.messages)
            is_right = case.is_right(played[-1][1])
            for key in ((skill, language), (skill, "all"), ("all", language), ("all", "all")):
                counts.setdefault(key, Counter())[is_right] += 1
            if not is_right:
                wrong.append(
                    json.dumps(
                        {"kind": kind, "skill": skill, "language": language, "must": case.must, "dialogue": played},
                        ensure_ascii=False,
                    )
                )
    return counts, wrong


def table(kind: str, counts: dict[tuple[str, str], Counter[bool]]) -> str:
    """Percent right as a Markdown table."""
    columns = (*LANGUAGES, "all")
    lines = [f"| {kind} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for skill in (*SKILLS[kind], "all"):
        shares = (counts[skill, column] for column in columns)
        lines.append(f"| {skill} | " + " | ".join(f"{100 * c[True] / c.total():.1f}" for c in shares) + " |")
    return "\n".join(lines)


def main() -> None:
    """Evaluate the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--per-skill", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1, help="two threads spin against each other on a busy machine")
    parser.add_argument("--seed", type=int, default=4242)
    parser.add_argument("--kinds", nargs="+", choices=SKILLS, default=list(SKILLS))
    parser.add_argument("--failures", type=Path, help="where to write the dialogues that went wrong, as JSON lines")
    args = parser.parse_args()
    chat, start, failures = Chat(args.model, args.threads), time.monotonic(), []
    for kind in args.kinds:
        counts, wrong = evaluate(chat, Cases(Lexicon.load(), args.seed), kind, args.per_skill)
        print(table(kind, counts), end="\n\n", flush=True)
        failures += wrong
    print(f"{time.monotonic() - start:.0f} s")
    if args.failures:
        args.failures.write_text("\n".join(failures))


if __name__ == "__main__":
    main()
