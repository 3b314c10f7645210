"""Environment -> typed settings. Read once, in an entry point; inner layers get small frozen objects.

Names are `CHATBOT_` + section + field: `CHATBOT_QUEUE_TIMEOUT_SECONDS` is `settings.queue.timeout_seconds`.
Secrets come as files (`*_FILE`), so that they are in no environment and no process list.
"""

from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

from chatbot.server.settings.accounts import (
    AuditSettings,
    AuthSettings,
    LimitSettings,
    PrivacySettings,
    TenantSettings,
    UsageSettings,
)
from chatbot.server.settings.characters import CharacterSettings
from chatbot.server.settings.documents import DocumentSettings, EmbeddingSettings
from chatbot.server.settings.engine import EngineSettings, GenerationSettings, ModelSettings, PromptSettings
from chatbot.server.settings.history import HistorySettings, MemorySettings, MongoSettings
from chatbot.server.settings.remote import FallbackSettings, OpenAISettings
from chatbot.server.settings.search import NewsSettings, SearchSettings, WeatherSettings
from chatbot.server.settings.serving import (
    CacheSettings,
    HttpSettings,
    LogSettings,
    MetricsSettings,
    QueueSettings,
    TracesSettings,
)
from chatbot.server.settings.tools import ToolSettings


class Settings(BaseSettings):
    """All settings of a service."""

    model_config = SettingsConfigDict(
        env_prefix="CHATBOT_", env_nested_delimiter="_", env_nested_max_split=1, extra="forbid", frozen=True
    )

    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    tenants: TenantSettings = TenantSettings()
    limits: LimitSettings = LimitSettings()
    usage: UsageSettings = UsageSettings()
    privacy: PrivacySettings = PrivacySettings()
    audit: AuditSettings = AuditSettings()
    queue: QueueSettings = QueueSettings()
    generation: GenerationSettings = GenerationSettings()
    cache: CacheSettings = CacheSettings()
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    history: HistorySettings = HistorySettings()
    memory: MemorySettings = MemorySettings()
    mongodb: MongoSettings = MongoSettings()
    openai: OpenAISettings = OpenAISettings()
    fallback: FallbackSettings = FallbackSettings()
    tools: ToolSettings = ToolSettings()
    documents: DocumentSettings = DocumentSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    characters: CharacterSettings = CharacterSettings()
    search: SearchSettings = SearchSettings()
    weather: WeatherSettings = WeatherSettings()
    news: NewsSettings = NewsSettings()
    prompts: PromptSettings = PromptSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TracesSettings = TracesSettings()
    log: LogSettings = LogSettings()

    @property
    def records_store(self) -> Literal["sqlite", "mongodb"]:
        """Where lives what has no setting of its own (keys, counters, records, characters): as conversations do.

        Beside those in a Redis it is MongoDB, where that is set, else the files of one machine.
        """
        if self.history.store != "redis":
            return self.history.store
        return "mongodb" if self.mongodb.uri_file is not None else "sqlite"

    @property
    def drain_seconds(self) -> float:
        """Longest time from SIGTERM to the end of what was admitted."""
        return self.http.lame_duck_seconds + self.queue.timeout_seconds + self.generation.timeout_seconds
