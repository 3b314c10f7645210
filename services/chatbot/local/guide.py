"""Leads a person through the start: the load, a first answer of each service, and what can be done next."""

import asyncio
from typing import Final

import httpx2

from chatbot.domain.model import ModelState
from chatbot.llm.engine_host import EngineHost
from chatbot.local.questions import DEMO_LANGUAGE, FIRST_QUESTIONS, Question, ask, curl
from chatbot.local.terminal import Terminal

_LOOK_SECONDS = 0.1
_TOY: Final = """\
This model is a toy: 2.4 million parameters, trained for this project on synthetic dialogues. It shows that the
platform works, not what it is good for. Take a real one (any GGUF file, or its URL):

  make run MODEL=/path/to/model.gguf
  make run MODEL=https://huggingface.co/<owner>/<repository>/resolve/main/<file>.gguf SHA256=<its sum>
"""


class StartFailed(Exception):
    """It cannot go on. The message is for a person and names the remedy."""


class Guide:
    """Speaks at the terminal while the services start.

    Args:
        host: Whose load is shown.
        gateway: Address of the gateway.
        internal: Address of the internal port.
        language: Of the person, ko, en or ja; the demo model is asked in its own.
    """

    def __init__(
        self, host: EngineHost, terminal: Terminal, *, gateway: str, internal: str, language: str = DEMO_LANGUAGE
    ) -> None:
        self._host = host
        self._language = language
        self._terminal = terminal
        self._gateway = gateway
        self._internal = internal

    async def run(self) -> None:
        """From the load to the first answers.

        Raises:
            StartFailed: The model cannot be served, or a question was not answered.
        """
        await self._loaded()
        for question in self._questions():
            await self._ask(question)

    async def _loaded(self) -> None:
        bar = self._terminal.bar("Loading the model")
        try:
            while (status := self._host.status()).state is not ModelState.SERVING:
                if status.state is ModelState.FAILED:
                    raise StartFailed(f"the model cannot be served ({status.reason}): {status.message}")
                bar.show(self._host.load_fraction())
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            bar.end()

    async def _ask(self, question: Question) -> None:
        self._terminal.say(f"  {question.service:<9}  {question.body['input_data']}")
        try:
            reply = await ask(question, self._gateway)
        except httpx2.HTTPError as exc:
            raise StartFailed(f"{question.service} did not answer on its port ({type(exc).__name__})") from exc
        if reply.status == 401:
            self._terminal.say("             (not asked: API keys are on)\n")
        elif reply.answer is None:
            raise StartFailed(f"{question.service} answered with status {reply.status}; the log says more")
        else:
            self._terminal.say(f"             {reply.answer}   ({reply.seconds:.2f} s)\n")

    def hint(self) -> None:
        """What can be done now."""
        say, gateway = self._terminal.say, self._gateway
        say(f"Ready: {gateway}\n")
        for service in ("office", "character"):
            say(f"  {service + ' docs':<15} {gateway}/{service}/docs")
        say(f"  {'metrics':<15} {self._internal}/metrics\n  {'model state':<15} {self._internal}/model\n")
        for question in self._questions():
            say(f"{curl(question, gateway)}\n")
        if self._is_demo():
            say(_TOY)
        say("Ctrl-C stops; requests under way are answered first.")

    def _questions(self) -> tuple[Question, ...]:
        return FIRST_QUESTIONS[DEMO_LANGUAGE if self._is_demo() else self._language]

    def _is_demo(self) -> bool:
        model = self._host.model()
        return model is not None and model.is_demo
