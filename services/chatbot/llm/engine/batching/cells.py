"""A mirror of llama.cpp's KV cells: which sequence uses which, shared ones counted once.

llama.cpp does not say how many cells are free, and with shared prefixes a sum of lengths does not either.
"""

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.int32]


class CellLedger:
    """Reference counts of every cell of the pool.

    Attributes:
        used: Cells that any resident sequence holds.
        active: Cells that a running sequence holds.
    """

    def __init__(self, n_cells: int) -> None:
        self.n_cells = n_cells
        self.used = self.active = 0
        self._holders = np.zeros(n_cells, np.int32)
        self._running = np.zeros(n_cells, np.int32)
        self._free = np.arange(n_cells - 1, -1, -1, dtype=np.int32)

    @property
    def free(self) -> int:
        """Cells that nobody holds."""
        return self.n_cells - self.used

    def take(self, count: int) -> Cells:
        """Fresh cells for a running sequence.

        Raises:
            ValueError: There are not so many.
        """
        if count > self.free:
            raise ValueError(f"{count} cells wanted, {self.free} are free")
        cells = self._free[self.free - count : self.free].copy()
        self._holders[cells] = self._running[cells] = 1
        self.used += count
        self.active += count
        return cells

    def share(self, cells: Cells, *, active: bool) -> None:
        """Another sequence holds these too."""
        self._holders[cells] += 1
        if active:
            self.activate(cells)

    def release(self, cells: Cells, *, active: bool) -> None:
        """A sequence lets go of these."""
        if active:
            self.deactivate(cells)
        self._holders[cells] -= 1
        emptied = cells[self._holders[cells] == 0]
        self._free[self.free : self.free + len(emptied)] = emptied
        self.used -= len(emptied)

    def activate(self, cells: Cells) -> None:
        """A sequence that holds these begins to run."""
        self.active += int(np.count_nonzero(self._running[cells] == 0))
        self._running[cells] += 1

    def deactivate(self, cells: Cells) -> None:
        """A sequence that holds these ends running and keeps them."""
        self._running[cells] -= 1
        self.active -= int(np.count_nonzero(self._running[cells] == 0))

    def inactive(self, cells: Cells) -> int:
        """How many of these no running sequence holds."""
        return int(np.count_nonzero(self._running[cells] == 0))

    def shared_beginning(self, cells: Cells) -> int:
        """How many of the first of these another sequence holds too."""
        alone = self._holders[cells] == 1
        return int(alone.argmax()) if alone.any() else len(cells)
