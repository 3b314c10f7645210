"""Who may answer, and by which clocks and defaults."""

from dataclasses import dataclass

from chatbot.core.admission import Admission
from chatbot.core.agent.opening import Agent
from chatbot.core.characters.casting import Casting
from chatbot.core.kept_answers.keeper import KeptAnswers
from chatbot.core.limits.limiter import Limiter
from chatbot.core.memory.summarising import Summariser
from chatbot.core.prompt import PromptTemplates
from chatbot.core.web.referenced import Web
from chatbot.domain.generation import Sampling
from chatbot.domain.ports import TextGenerator
from chatbot.domain.style.rules import StyleTelemetry


@dataclass(frozen=True, slots=True)
class BackendRoute:
    """One backend with the line before it and the prompt file for it.

    Attributes:
        agent: Lets this backend call our tools for the product's own questions; None: no tools.
        web: For questions that ask for it.
    """

    generator: TextGenerator
    admission: Admission
    templates: PromptTemplates
    agent: Agent | None = None
    web: Web = Web()


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """Clocks and defaults of one service.

    Attributes:
        queue_seconds: Longest wait in the line, from arrival.
        generation_seconds: Longest generation, from dispatch.
        sampling: For questions; an exchange brings its own.
        may_fall_back: Whether a question to the local model may be answered by the OpenAI-compatible backend while
            no local model serves.
        limiter: Of keys; None where nobody has limits.
        casting: Of stored characters; None where there are none.
        kept: Answers for questions that are asked again; None where none are kept.
        style: Counts checks of characters' rules.
        summaries: Makes summaries of long conversations; None: none are made, and none is told.
    """

    queue_seconds: float
    generation_seconds: float
    sampling: Sampling
    may_fall_back: bool = False
    limiter: Limiter | None = None
    casting: Casting | None = None
    kept: KeptAnswers | None = None
    style: StyleTelemetry | None = None
    summaries: Summariser | None = None
