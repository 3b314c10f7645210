"""The engine process: `python -m chatbot.llm.engine.process <fd> [--die-with-parent]`.

It talks frames over an inherited socket, ends when the other end closes, and holds everything that can crash. Threads:
this one loads and computes; a reader turns frames into orders, tokenising included; a sender empties the outbox; a
heart beats once a second, also while a step runs.
"""

import argparse
import os
import socket
import sys
import time
from collections import deque
from threading import Condition
from typing import Any, cast

from chatbot.llm.engine.batching.decision import Decision, Trigger
from chatbot.llm.engine.batching.generation import Order
from chatbot.llm.engine.desk import (
    EXIT_BROKEN,
    EXIT_LOAD_FAILED,
    LAST_WORDS_SECONDS,
    Desk,
    Receiver,
    complain,
    or_exit,
    prepare,
    start_thread,
    tell_progress,
)
from chatbot.llm.engine.frames import FrameError, GenerateFrame, LoadFrame, MeasureFrame, SamplingFrame, StepEvent
from chatbot.llm.engine.loading import Engine, LoadFailed, load_engine
from chatbot.llm.engine.native.library import Library
from chatbot.llm.engine.outbox import Outbox
from chatbot.llm.engine.sampling.chain import SamplerChain
from chatbot.llm.engine.sampling.grammar import Grammar, InvalidGrammar
from chatbot.llm.engine.text.prompt_ids import DialogueTooLong, Prompt
from chatbot.llm.engine.text.tool_tokens import ToolTokens

HEARTBEAT_SECONDS = 1.0
_LIKELIEST: Any = {"temperature": 0.0, "repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""How a decision is sampled."""


class Inbox:
    """Orders from the reader to the engine thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._items: deque[Order | str] = deque()

    def put(self, item: Order | str) -> None:
        """Hand over an order, or the id of a request to cancel."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def take(self, *, wait: bool) -> list[Order | str]:
        """Everything that came; with `wait` at least one."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._items)
            items = list(self._items)
            self._items.clear()
            return items


class Dispatcher:
    """Turns frames into orders and answers, in the reader's thread."""

    def __init__(self, engine: Engine, inbox: Inbox, outbox: Outbox) -> None:
        self._engine = engine
        self._inbox = inbox
        self._outbox = outbox

    def handle(self, frame: dict[str, Any]) -> None:
        """Act on one frame; unknown types are a mistake of the other end.

        Raises:
            FrameError: The type is unknown.
        """
        kind = frame["type"]
        if kind == "generate":
            self._generate(cast(GenerateFrame, frame))
        elif kind == "measure":
            self._measure(cast(MeasureFrame, frame))
        elif kind == "cancel":
            self._inbox.put(str(frame["id"]))
            self._engine.scheduler.interrupt(str(frame["id"]))
        else:
            raise FrameError("unknown type")

    def _generate(self, frame: GenerateFrame) -> None:
        arrived = time.monotonic()
        try:
            prompt = self._engine.prompts.build(frame["dialogue"], frame["sampling"], frame.get("decision"))
            decision = self._decision(frame, prompt)
            chain = self._chain(frame, prompt)
        except DialogueTooLong as exc:
            self._outbox.text(_refused(frame["id"], "too_long", exc.prompt_tokens, too_long=exc.field))
            return
        except InvalidGrammar:
            self._outbox.text(_refused(frame["id"], "grammar", len(prompt.ids)))
            return
        stop = tuple(frame["sampling"]["stop"])
        deadline = arrived + frame["timeout_seconds"]
        self._inbox.put(Order(frame["id"], prompt, chain, stop, arrived, deadline, decision))

    def _decision(self, frame: GenerateFrame, prompt: Prompt) -> Decision | None:
        asked = frame.get("decision")
        if asked is None:
            return None
        n_tokens, sampling = self._engine.vocabulary.n_tokens, cast(SamplingFrame, {**frame["sampling"], **_LIKELIEST})
        tools, trigger = self._spoken(frame), None
        if "trigger" in asked:
            if asked["trigger"] not in tools.by_name:
                raise InvalidGrammar("no token begins a call")
            settled_by = asked.get("settled_by", "").encode()
            trigger = Trigger(tools.by_name[asked["trigger"]], SamplerChain(sampling, n_tokens), settled_by)
        grammar = Grammar(self._engine.vocabulary, asked["grammar"], tools.writable)
        chain = SamplerChain(sampling, n_tokens, grammar=grammar)
        return Decision(prompt.asked, chain, prompt.decision_tokens, asked["nothing"], trigger)

    def _chain(self, frame: GenerateFrame, prompt: Prompt) -> SamplerChain:
        vocabulary = self._engine.vocabulary
        # A penalty on the scaffold would punish the end of the turn and make answers long.
        seen = [token for token in prompt.ids.tolist() if token not in vocabulary.control]
        text, tools = frame["sampling"].get("grammar"), self._spoken(frame)
        is_call = bool(frame["dialogue"].get("answer"))  # what begins a call is set
        grammar = Grammar(vocabulary, text, tools.writable if is_call else ()) if text else None
        never = () if is_call else self._engine.tool_tokens.ids  # no answer holds a call, told of tools or not
        return SamplerChain(frame["sampling"], vocabulary.n_tokens, seen, never, grammar)

    def _spoken(self, frame: GenerateFrame) -> ToolTokens:
        """The tokens that this dialogue speaks of tools in; none where it does so in plain text, or not at all."""
        return self._engine.tool_tokens if frame["dialogue"].get("mark") else ToolTokens()

    def _measure(self, frame: MeasureFrame) -> None:
        too_long: str | None = None
        try:
            prompt = self._engine.prompts.build(frame["dialogue"], frame["sampling"], frame.get("decision"))
            tokens = len(prompt.ids) + len(prompt.asked)
        except DialogueTooLong as exc:
            tokens, too_long = exc.prompt_tokens, exc.field
        answer = {"type": "measured", "id": frame["id"], "prompt_tokens": tokens, "too_long": too_long}
        self._outbox.control(answer)


def serve(engine: Engine, inbox: Inbox, outbox: Outbox) -> None:
    """Compute for ever: take orders, run a step, give away what it brought.

    Raises:
        scheduler.EngineBroken: llama.cpp cannot be trusted any more.
    """
    scheduler = engine.scheduler
    while True:
        for item in inbox.take(wait=not scheduler.has_work):
            if isinstance(item, Order):
                scheduler.submit(item)
            else:
                scheduler.cancel(item)
                outbox.forget(item)
        for stalled in outbox.texts(scheduler.run_step()):
            outbox.texts(scheduler.finish(stalled, "slow"))


def main() -> None:
    """Entry of the child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fd", type=int)
    parser.add_argument("--die-with-parent", action="store_true")
    arguments = parser.parse_args()
    prepare(die_with_parent=arguments.die_with_parent)
    channel = socket.socket(fileno=arguments.fd)
    receiver = Receiver(channel)
    outbox = Outbox(channel.sendall)
    sender = start_thread("sender", lambda: or_exit(outbox.run))
    first = receiver.frame()
    if first is None:
        return
    desk = Desk(receiver)
    start_thread("reader", lambda: or_exit(desk.run))
    try:
        engine = load_engine(cast(LoadFrame, first), Library(), lambda part: tell_progress(outbox, part))
    except LoadFailed as exc:
        outbox.control({"type": "failed", "reason": exc.reason.value, "message": str(exc)})
        outbox.close()
        sender.join(LAST_WORDS_SECONDS)
        sys.exit(EXIT_LOAD_FAILED)
    outbox.control(engine.ready)
    inbox = Inbox()
    desk.open(Dispatcher(engine, inbox, outbox))
    start_thread("heart", lambda: _beat(engine, outbox))
    try:
        serve(engine, inbox, outbox)
    except Exception as exc:
        complain(exc)
        os._exit(EXIT_BROKEN)


def _beat(engine: Engine, outbox: Outbox) -> None:
    scheduler = engine.scheduler
    while True:
        started = scheduler.step_started
        outbox.control(
            {
                "type": "heartbeat",
                "step": scheduler.step,
                "step_seconds": time.monotonic() - started if started else 0.0,
                "predicted_seconds": scheduler.predicted_seconds,
                "stats": scheduler.stats(),
            },
            replaces=True,
        )
        time.sleep(HEARTBEAT_SECONDS)


def _refused(request_id: str, finish: str, prompt_tokens: int, too_long: str = "") -> StepEvent:
    return {
        "id": request_id,
        "text": "",
        "tokens": 0,
        "finish": finish,
        "too_long": too_long,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": 0,
    }


if __name__ == "__main__":
    main()
