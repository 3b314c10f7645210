"""An erasure out of its row: both stores keep the same fields, each in its own form."""

from collections.abc import Mapping
from typing import Any

from chatbot.domain.personal.erasure import Erasure, ErasureState, Receipt


def to_erasure(mark: str, row: Mapping[str, Any], found: Mapping[str, int], receipt: Mapping[str, Any]) -> Erasure:
    """The erasure.

    Args:
        mark: Names the row.
        row: Its plain fields.
        found: Rows by store.
        receipt: `erased` and `kept`; empty where there is none yet.
    """
    kept = {name: (count, why) for name, (count, why) in receipt.get("kept", {}).items()}
    return Erasure(
        mark=mark,
        epoch=row["epoch"],
        state=ErasureState(row["state"]),
        begun_at=row["begun_at"],
        done_at=row["done_at"],
        tenant=row["tenant"],
        user=row["user"],
        is_self=bool(row["is_self"]),
        failures=row["failures"],
        failing=row["failing"],
        found=dict(found),
        receipt=Receipt(receipt.get("erased", {}), kept),
        lease=row["lease"],
    )
