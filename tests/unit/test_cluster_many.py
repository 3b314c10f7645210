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
    assert api.lists_of_models == 3, "at 0, 5 and 10 s: after one that took long, the next waits a second for company"


class PagedApi(Api):
    """An API server that gives three objects in pages of two."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), 1.0)
        self.asked: list[dict[str, list[str]]] = []

    async def _exchange(self, method: str, path: str, body: Any, flavour: str) -> tuple[int, str]:
        self.asked.append(parse_qs(urlsplit(path).query))
        is_first = "continue" not in self.asked[-1]
        numbers, more = (("1", "2"), "more") if is_first else (("3",), "")
        items = [{"metadata": {"name": number, "managedFields": [{"manager": "somebody"}]}} for number in numbers]
        return 200, json.dumps({"items": items, "metadata": {"continue": more}})


async def test_a_list_is_read_page_by_page() -> None:
    api = PagedApi()

    found = await api.find(MODELS, "space", "chatbot.ai/model")

    assert found == [{"metadata": {"name": number}} for number in "123"], "without who owns which field"
    assert [asked.get("continue") for asked in api.asked] == [None, ["more"]]
    assert all(asked["labelSelector"] == ["chatbot.ai/model"] and int(asked["limit"][0]) > 0 for asked in api.asked)
