"""The local model: its process, the line before it, and which file is served."""

from dataclasses import dataclass

from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.prompt import PromptTemplates
from chatbot.domain.generation import Backend
from chatbot.domain.model import Capacity
from chatbot.llm.engine_host import EngineHost, EngineOptions
from chatbot.llm.llama_cpp import LlamaCppGenerator
from chatbot.llm.model_source import FixedModel, FollowedModel
from chatbot.server.observe.engine_metrics import EngineReading
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.whole import Settings

ModelSource = FixedModel | FollowedModel
_TYPICAL_ANSWER_TOKENS = 150  # of a new model, until its answers were measured


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine with the line before it; services that use the same file share it."""

    host: EngineHost
    admission: Admission
    generator: LlamaCppGenerator

    def reading(self) -> EngineReading:
        """What the metrics say of it now."""
        return EngineReading(self.host.stats(), self.host.status().engine_restarts, self.host.model())


def open_engine(settings: Settings, service: str, meters: Meters) -> Engine:
    """The local engine, not started."""
    policy = AdmissionPolicy(settings.queue.timeout_seconds, settings.queue.max_waiting)
    admission = Admission(policy, Capacity(1, open=False), meters.of(service))
    options = EngineOptions(
        smoke=PromptTemplates.load(service, Backend.LLAMA, settings.prompts.dir).smoke(),
        name=settings.model.name,
        context_tokens=settings.model.context_tokens,
        chat_format=settings.model.chat_format,
        tool_dialect=settings.model.tool_dialect,
        ready_during_swap=settings.model.ready_during_swap,
        slots=settings.engine.slots,
        kv_tokens=settings.engine.kv_tokens,
        step_tokens=settings.engine.step_tokens,
        idle_tokens=settings.engine.idle_tokens,
        host_cache_mib=settings.engine.host_cache_mib,
        step_seconds=settings.engine.step_seconds,
        without=tuple(filter(None, settings.engine.without.split(","))),
        threads=settings.engine.threads,
        gpu_layers=settings.engine.gpu_layers,
        load_timeout_seconds=settings.engine.load_timeout_seconds,
    )
    believed: str | None = None

    def offer(capacity: Capacity) -> None:
        nonlocal believed
        status = host.status()
        if capacity.open and status.revision != believed and status.tokens_per_second:
            believed = status.revision
            admission.expect(_TYPICAL_ANSWER_TOKENS / status.tokens_per_second)
        admission.set_capacity(capacity)

    host = EngineHost(options, offer)
    return Engine(host, admission, LlamaCppGenerator(host))


def model_source(settings: Settings) -> ModelSource:
    """Which file is served: a fixed one, or what a folder names."""
    if settings.model.path is not None:
        return FixedModel(settings.model.path)
    return FollowedModel(settings.model.dir, settings.model.revision_dir)
