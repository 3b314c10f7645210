"""Settings -> the price table, and where use is recorded."""

from chatbot.domain.usage.prices import NO_PRICES, PriceError, PriceTable
from chatbot.server.settings.whole import Settings


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
