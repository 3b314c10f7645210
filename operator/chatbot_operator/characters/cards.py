"""Cards that Characters name: read from ConfigMaps of their namespace, where there is no right on Secrets."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from chatbot_operator.cluster.api import CONFIG_MAPS, Api
from chatbot_operator.compiled.bundle import CARD_FROM, Source, without_use
from chatbot_operator.compiled.reasons import ReadyReason

Document = dict[str, Any]
_MOST_LEVELS: Final = 32
"""That a card may be nested; services refuse deeper ones."""


async def with_cards(api: Api, namespace: str, sources: Sequence[Source]) -> list[Source]:
    """The objects with their cards, or with why there is none.

    Each ConfigMap is read once, however many name it.

    Raises:
        ApiFault: The API server refused it.
        Unreachable: It did not answer in time.
    """
    named = sorted({_reference(source)[0] for source in sources if CARD_FROM in source.spec})
    texts = {name: await _texts(api, namespace, name) for name in named}
    return [_with_card(source, texts) if CARD_FROM in source.spec else source for source in sources]


async def _texts(api: Api, namespace: str, name: str) -> Document | None:
    found = await api.find(CONFIG_MAPS, namespace, named=name)
    return (found[0].get("data") or {}) if found else None


def _reference(source: Source) -> tuple[str, str]:
    named = source.spec[CARD_FROM].get("configMapKeyRef") or {}
    return str(named.get("name", "")), str(named.get("key", ""))


def _with_card(source: Source, texts: dict[str, Document | None]) -> Source:
    name, key = _reference(source)
    data = texts[name]
    if data is None:
        return without_use(source, ReadyReason.CARD_MISSING, f"cardFrom: there is no ConfigMap {name}: create it")
    if key not in data:
        told = f"cardFrom: the ConfigMap {name} has no key {key} in data (binaryData is not read): put the card there"
        return without_use(source, ReadyReason.CARD_MISSING, told)
    card = _card(data[key])
    if card is None:
        told = f"cardFrom: {key} of the ConfigMap {name} is no card: put its JSON there, an object, not its picture"
        return without_use(source, ReadyReason.CARD_INVALID, told)
    return replace(source, card=card)


def _card(text: str) -> Document | None:
    """The card, where every reader of JSON would read it, too."""
    try:
        card = json.loads(text)
        json.dumps(card, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return card if isinstance(card, dict) and not _is_deeper(card, _MOST_LEVELS) else None


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deeper(one, levels - 1) for one in inner)
