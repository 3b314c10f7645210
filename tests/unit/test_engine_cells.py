"""The mirror of the KV cells: shared ones count once, in any order of operations."""

import numpy as np
import pytest
from chatbot.llm.engine.batching.cells import CellLedger


def test_shared_cells_count_once() -> None:
    ledger = CellLedger(10)
    first = ledger.take(6)
    ledger.share(first[:4], active=True)

    assert (ledger.used, ledger.active, ledger.free) == (6, 6, 4)
    ledger.release(first, active=True)
    assert (ledger.used, ledger.active) == (4, 4)


def test_retired_cells_stay_used_and_are_not_active() -> None:
    ledger = CellLedger(10)
    cells = ledger.take(6)
    ledger.share(cells[:2], active=True)

    ledger.deactivate(cells)

    assert (ledger.used, ledger.active, ledger.inactive(cells)) == (6, 2, 4)


def test_no_cell_is_given_twice() -> None:
    ledger = CellLedger(8)
    first, second = ledger.take(5), ledger.take(3)
    ledger.release(first[1:3], active=True)

    third = ledger.take(2)

    assert len(np.unique(np.concatenate([first[:1], first[3:], second, third]))) == 8
    assert ledger.free == 0


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="9 cells"):
        CellLedger(8).take(9)
