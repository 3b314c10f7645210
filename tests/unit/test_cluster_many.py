"""Reading for many Models: together, a namespace once at a time, in pages."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from chatbot_operator.cluster.api import MODELS, Api, Kind
from chatbot_operator.cluster.reader import Reader
from chatbot_operator.cluster.served import ModelPages
from parts.virtual_time import run_virtual

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class SlowApi(Api):
    """An API server without objects, of which every list takes a while."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), 1.0)
        self.at_once = self.most_at_once = self.lists_of_models = 0

    async def find(self, kind: Kind, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.lists_of_models += kind is MODELS
        await asyncio.sleep(4)
        self.at_once -= 1
        return []


def test_a_slow_api_server_is_asked_once_at_a_time_however_many_ask() -> None:
    async def scene() -> SlowApi:
        api = SlowApi()
        reader = Reader(api, cast(ModelPages, None), lambda: NOW)

        async def ask(number: int) -> None:
            await asyncio.sleep(number * 0.1)
            assert await reader.read(("space", f"model-{number}")) is None

        await asyncio.gather(*(ask(number) for number in range(100)))
        return api

    api = run_virtual(scene())

    assert api.most_at_once == 1
    assert api.lists_of_models == 4, "at 0, 4 and 8 s for who came before, and once more"


class PagedApi(Api):
    """An API server that gives three objects in pages of two."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), 1.0)
        self.asked: list[dict[str, list[str]]] = []

    async def _exchange(self, method: str, path: str, body: Any, flavour: str) -> tuple[int, str]:
        self.asked.append(parse_qs(urlsplit(path).query))
        is_first = "continue" not in self.asked[-1]
        page = {"items": [{"n": 1}, {"n": 2}], "metadata": {"continue": "more"}} if is_first else {"items": [{"n": 3}]}
        return 200, json.dumps(page)


async def test_a_list_is_read_page_by_page() -> None:
    api = PagedApi()

    found = await api.find(MODELS, "space", "chatbot.ai/model")

    assert found == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [asked.get("continue") for asked in api.asked] == [None, ["more"]]
    assert all(asked["labelSelector"] == ["chatbot.ai/model"] and int(asked["limit"][0]) > 0 for asked in api.asked)
