"""`GET /tools`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from chatbot.api.service import Parts, parts_of
from chatbot.api.texts import LANGUAGES
from chatbot.api.tools.reasons import REASONS
from chatbot.api.wire.context import context_of
from chatbot.domain.generation import Backend
from chatbot.domain.toolservers.standing import ToolStanding, ToolState

router = APIRouter(tags=["operations"])
_WEB: Final = ("web_search", "read_result", "weather", "news")
_DOCUMENTS: Final = ("search_documents",)


class ToolView(BaseModel):
    """One tool; `reason` and `message` are empty where it is available.

    `source` is builtin, web, documents or `mcp:` with a server's name; `pin` is of the definition that the server gives
    now, for operators to approve. `asks_first`: its calls do more than read, and run once their user confirms them.
    """

    name: str
    source: str
    state: str
    reason: str
    message: str
    description: str
    pin: str
    asks_first: bool


class ToolList(BaseModel):
    """What the local model may call for the product's own questions."""

    tools: list[ToolView]


@router.get("/tools", operation_id="listTools", summary="What the model may call", response_model=ToolList)
async def list_tools(request: Request) -> Response:
    """Every tool with its state: ours, and those of tool servers, also where they are withdrawn or away."""
    parts, language = parts_of(request), context_of(request.scope).language
    view = ToolList(tools=[_view(one, language) for one in _standings(parts)])
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return Response(view.model_dump_json(), media_type="application/json", headers=headers)


def _standings(parts: Parts) -> Iterator[ToolStanding]:
    local = parts.generators.get(Backend.LLAMA)
    model = local.model() if local else None
    for one in (*(ToolStanding(name, _source(name)) for name in parts.tools), *parts.remote_tools()):
        is_demo = model is not None and model.is_demo and one.state is ToolState.AVAILABLE
        yield replace(one, state=ToolState.UNAVAILABLE, reason="demo_model") if is_demo else one


def _source(name: str) -> str:
    return "web" if name in _WEB else "documents" if name in _DOCUMENTS else "builtin"


def _view(one: ToolStanding, language: str) -> ToolView:
    message = REASONS[one.reason][LANGUAGES.index(language)] if one.reason else ""
    return ToolView(
        name=one.name,
        source=one.source,
        state=one.state,
        reason=one.reason,
        message=message,
        description=one.description,
        pin=one.pin,
        asks_first=one.asks_first,
    )
