"""What operators and probes ask: `/healthz`, `/readyz`, `/performance`, `/info`; and the internal port's app."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatbot import __version__
from chatbot.api import service
from chatbot.api.accounts.decisions import is_known
from chatbot.api.characters.curated_page import curation_fields
from chatbot.domain.curation.curated import CurationState, CurationStatus
from chatbot.domain.errors import Draining, ModelUnavailable
from chatbot.domain.generation import Backend
from chatbot.domain.model import ModelState, ModelStatus
from chatbot.domain.tenants.policy import PolicyStatus

router = APIRouter(tags=["operations"])
_NO_VECTORS: Final = "No file of a Model makes vectors here; set CHATBOT_EMBEDDING_DIR."


class Health(BaseModel):
    """A probe's answer."""

    status: str


class PerformanceView(BaseModel):
    """Counts since the start; seconds and percent as the names say."""

    service_type: str
    total_requests: int
    successful_requests: int
    failed_requests: int
    active_requests: int
    active_connections: int
    max_concurrent: int
    queue_size: int
    avg_response_time: float
    success_rate: float
    uptime_seconds: float


class ModelView(BaseModel):
    """The model that answers now."""

    name: str
    revision: str
    sha256: str
    context_tokens: int
    tool_dialect: str
    is_demo: bool


class LimitsView(BaseModel):
    """Bounds of requests."""

    body_bytes: int
    v1_body_bytes: int
    queue_timeout_seconds: float
    max_waiting: int


class CpuView(BaseModel):
    """CPUs that may be used at once; `limited_by` is container or machine."""

    cores: float
    limited_by: str


class ShareView(BaseModel):
    """Of memory or of a disk; `limited_by` is container or machine."""

    limit_bytes: int
    used_bytes: int
    limited_by: str


class GpuView(BaseModel):
    """A GPU that the process sees."""

    name: str


class SystemView(BaseModel):
    """What the process runs on; of a container its share. Memory without page cache; the disk that it writes to."""

    cpu: CpuView
    memory: ShareView | None
    disk: ShareView | None
    gpus: list[GpuView]


class EmbeddingView(BaseModel):
    """The model of `/v1/embeddings`, by which documents are found besides their words; `local` is false for an API."""

    name: str
    dimensions: int
    local: bool


class Info(BaseModel):
    """What this service is. `system` is null for whoever may not know it: without a key, from another machine."""

    service: str
    version: str
    model: ModelView | None
    backends: list[str]
    limits: LimitsView
    keys: bool
    search: bool
    documents: bool
    embedding: EmbeddingView | None
    tools: list[str]
    system: SystemView | None


@router.get("/healthz", operation_id="health", summary="Is the process alive", response_model=Health)
async def healthz() -> Response:
    """200 while the event loop answers, whatever engine, store or backends do."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get("/readyz", operation_id="readiness", summary="Does it take requests", response_model=Health)
async def readyz(request: Request) -> Response:
    """200 while each request gets an answer or an honest 429; a stored result, nothing is asked."""
    gate = service.parts_of(request).gate
    if gate.is_draining:
        raise Draining
    if not gate.is_ready():
        raise ModelUnavailable
    return Response(b'{"status":"ready"}', media_type="application/json")


@router.get("/performance", operation_id="performance", summary="Counts", response_model=PerformanceView)
async def performance(request: Request) -> Response:
    """Counts of this process since it started."""
    return _json(asdict(service.parts_of(request).statistics.snapshot()))


@router.get("/info", operation_id="info", summary="Version, model, limits", response_model=Info)
async def info(request: Request) -> Response:
    """What answers here and what it takes."""
    parts, profile = service.parts_of(request), service.profile_of(request)
    local = parts.generators.get(Backend.LLAMA)
    model = local.model() if local else None
    view = Info(
        service=profile.name,
        version=__version__,
        model=model
        and ModelView(
            name=model.name,
            revision=model.revision,
            sha256=model.sha256,
            context_tokens=model.context_tokens,
            tool_dialect=model.tool_dialect,
            is_demo=model.is_demo,
        ),
        backends=[str(backend) for backend in parts.generators],
        limits=LimitsView(
            body_bytes=parts.limits.body_bytes,
            v1_body_bytes=parts.limits.v1_body_bytes,
            queue_timeout_seconds=parts.limits.queue_timeout_seconds,
            max_waiting=parts.limits.max_waiting,
        ),
        keys=not parts.keys.is_open,
        search=parts.has_search,
        documents=parts.documents is not None,
        embedding=_embedding(parts),
        tools=[*parts.tool_names()] if model is None or not model.is_demo else [],
        system=await _system(request),
    )
    return Response(view.model_dump_json(), media_type="application/json")


def _embedding(parts: service.Parts) -> EmbeddingView | None:
    model = parts.embeddings.model() if parts.embeddings is not None else None
    if parts.embeddings is None or model is None:
        return None
    is_local = parts.embeddings.backend is Backend.LLAMA
    return EmbeddingView(name=model.name, dimensions=model.space.dimensions, local=is_local)


async def _system(request: Request) -> SystemView | None:
    read = service.parts_of(request).machine
    machine = await read() if read is not None and await is_known(request) else None
    if machine is None:
        return None
    memory, disk = (one and ShareView(**asdict(one)) for one in (machine.memory, machine.disk))
    cpu = CpuView(cores=machine.cpus, limited_by=machine.cpus_limited_by)
    return SystemView(cpu=cpu, memory=memory, disk=disk, gpus=[GpuView(name=name) for name in machine.gpus])


def internal_app(
    render_metrics: Callable[[str], tuple[bytes, str]],
    model: Callable[[], ModelStatus],
    policy: Callable[[], PolicyStatus],
    embedding: Callable[[], ModelStatus] | None = None,
    characters: Callable[[], CurationStatus] | None = None,
) -> Starlette:
    """The app of the internal port.

    Args:
        render_metrics: From an `Accept` header to a body and its media type.
        model: State of the served model; `/model` is always 200.
        policy: The policies of tenants that hold; `/policy` is always 200.
        embedding: State of the file that makes vectors; None where there is none. `/embedding` is always 200.
        characters: The curated ones that are played; None where the process has none. `/characters` is always 200.
    """
    began_at = datetime.now(UTC)
    vectors = embedding or partial(ModelStatus, ModelState.NO_MODEL, "", "", began_at, message=_NO_VECTORS)

    async def metrics(request: Request) -> Response:
        body, media_type = render_metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type})

    async def model_status(_request: Request) -> Response:
        return JSONResponse(model_fields(model()))

    async def embedding_status(_request: Request) -> Response:
        return JSONResponse(model_fields(vectors()))

    async def policy_status(_request: Request) -> Response:
        return JSONResponse(policy_fields(policy()))

    async def characters_status(_request: Request) -> Response:
        status = characters() if characters else CurationStatus(CurationState.NONE, "", began_at)
        return JSONResponse(curation_fields(status))

    pages = {"/metrics": metrics, "/model": model_status, "/embedding": embedding_status, "/policy": policy_status}
    pages["/characters"] = characters_status
    return Starlette(routes=[Route(path, page) for path, page in pages.items()])


def model_fields(status: ModelStatus) -> dict[str, object]:
    """The body of `GET :9090/model`, and of `/embedding`."""
    return {
        "state": str(status.state),
        "revision": status.revision,
        "expected": status.expected,
        "since": status.since.isoformat(),
        "reason": None if status.reason is None else str(status.reason),
        "message": status.message,
        "tokens_per_second": status.tokens_per_second,
        "engine_restarts": status.engine_restarts,
    }


def policy_fields(status: PolicyStatus) -> dict[str, object]:
    """The body of `GET :9090/policy`: which generation of which policy holds here, and why not a newer one."""
    tenants = {tenant.name: {"generation": tenant.generation, "uid": tenant.uid} for tenant in status.policies.all()}
    return {
        "state": str(status.state),
        "digest": status.digest,
        "since": status.since.isoformat(),
        "message": status.message,
        "tenants": tenants,
    }


def _json(fields: dict[str, object]) -> Response:
    return Response(json.dumps(fields), media_type="application/json")
