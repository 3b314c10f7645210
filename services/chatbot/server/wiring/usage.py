"""Settings -> the price table, and where use is recorded."""

from pathlib import Path

from chatbot.core.usage.recorder import Recorder, RecorderPolicy
from chatbot.domain.usage.prices import NO_PRICES, PriceError, PriceTable
from chatbot.domain.usage.rows import UsageStore, UsageTelemetry
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.stores import mongo_uri

_FILE = "chatbot-usage.sqlite3"


def open_prices(settings: Settings) -> PriceTable:
    """The price table; empty where no file is named.

    Raises:
        ValueError: It cannot be used; the message names the setting, the row and the remedy.
    """
    if settings.usage.prices_file is None:
        return NO_PRICES
    from chatbot.adapters.usage.prices_file import load_prices  # YAML is read nowhere else

    try:
        return load_prices(settings.usage.prices_file)
    except PriceError as exc:
        raise ValueError(f"CHATBOT_USAGE_PRICES_FILE: {exc}") from None


def open_recorder(settings: Settings, telemetry: UsageTelemetry) -> Recorder | None:
    """Where requests are recorded, None where they are not; the store is opened when the first one is over.

    Raises:
        ValueError: The file with the connection string is missing or holds none.
    """
    chosen = settings.usage
    if not chosen.enabled:
        return None
    policy = RecorderPolicy(raw_days=chosen.raw_days, daily_days=chosen.daily_days, most_waiting=chosen.max_waiting)
    return Recorder(open_usage_store(settings), telemetry, policy)


def open_usage_store(settings: Settings) -> UsageStore:
    """Where rows of use are kept; it connects when it is first used.

    Raises:
        ValueError: The file with the connection string is missing or holds none.
    """
    if settings.records_store == "sqlite":
        from chatbot.adapters.usage.sqlite import SqliteUsage

        return SqliteUsage(usage_file(settings))
    from chatbot.adapters.usage.mongo import MongoUsage

    return MongoUsage.open(mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver)


def usage_file(settings: Settings) -> Path:
    """File of the records, on one machine."""
    return settings.usage.sqlite_path or settings.history.sqlite_path.with_name(_FILE)
