"""What the endpoints of people's data give."""

from datetime import UTC, datetime

from pydantic import BaseModel

from chatbot.api.personal.texts import OUTSIDE
from chatbot.api.texts import text
from chatbot.domain.personal.erasure import Erasure, ErasureState


class ErasedRows(BaseModel):
    """What was removed from one store."""

    store: str
    rows: int


class KeptRows(BaseModel):
    """What was left in one store, and why."""

    store: str
    rows: int
    why: str


class ReceiptView(BaseModel):
    """What was erased here, what was kept here and why, and what lies outside."""

    erased: list[ErasedRows]
    kept: list[KeptRows]
    outside: list[str]


class ErasureView(BaseModel):
    """An erasure. `state` is erasing or done; while it fails it is tried again, and `failing` names the store."""

    state: str
    begun_at: datetime
    done_at: datetime | None
    failures: int
    failing: str | None
    receipt: ReceiptView | None


class ExportView(BaseModel):
    """An export that can be fetched at `/users/{user_id}/export/file`, once."""

    state: str
    until: datetime


def erasure_view(erasure: Erasure, language: str) -> ErasureView:
    """An erasure as it is told."""
    is_done = erasure.state is ErasureState.DONE
    return ErasureView(
        state=erasure.state.value,
        begun_at=moment(erasure.begun_at),
        done_at=moment(erasure.done_at) if erasure.done_at is not None else None,
        failures=erasure.failures,
        failing=erasure.failing or None,
        receipt=_receipt(erasure, language) if is_done else None,
    )


def moment(seconds: float) -> datetime:
    """Unix seconds as a time."""
    return datetime.fromtimestamp(seconds, UTC)


def _receipt(erasure: Erasure, language: str) -> ReceiptView:
    kept = erasure.receipt.kept.items()
    return ReceiptView(
        erased=[ErasedRows(store=name, rows=rows) for name, rows in erasure.receipt.erased.items()],
        kept=[KeptRows(store=name, rows=rows, why=text(f"kept.{why}", language)) for name, (rows, why) in kept],
        outside=[text(f"outside.{name}", language) for name in OUTSIDE],
    )
