"""Settings of what is kept of use, and of prices."""

from pathlib import Path

from pydantic import Field

from chatbot.server.settings.section import Section


class UsageSettings(Section):
    """What each request took: counts, a pseudonym and a cost, never text."""

    enabled: bool = True
    """Whether requests are recorded. They live where `CHATBOT_HISTORY_STORE` says."""

    sqlite_path: Path = Path("var/chatbot-usage.sqlite3")
    """File of the records, where `CHATBOT_HISTORY_STORE=sqlite`."""

    prices_file: Path | None = None
    """Price table, YAML; checked at start. Without one nothing has a cost, and keys with limits in USD are refused."""

    raw_days: int = Field(30, ge=1, le=3650)
    """Records of single requests are kept for so long, days."""

    daily_days: int = Field(400, ge=1, le=3650)
    """Sums of days are kept for so long, days. They name keys, no users."""
