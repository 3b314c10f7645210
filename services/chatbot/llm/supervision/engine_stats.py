"""Numbers of the engine that only grow, although each engine process starts again from zero."""

from collections.abc import Mapping

GAUGES = frozenset({"kv_cells", "kv_cells_active", "kv_cells_idle", "active", "waiting", "host_cache_bytes"})
"""Names in a heartbeat's `stats` that are levels; all others count up from the start of the process."""


class EngineStats:
    """Sums over all engine processes so far."""

    def __init__(self) -> None:
        self._past: dict[str, float] = {}
        self._current: Mapping[str, float] = {}

    def update(self, stats: Mapping[str, float]) -> None:
        """Numbers of the process that runs now; a counter that fell belongs to a new process."""
        if any(value < self._current.get(name, 0.0) for name, value in stats.items() if name not in GAUGES):
            self.process_ended()
        self._current = stats

    def process_ended(self) -> None:
        """Keep what the last process counted."""
        for name, value in self._current.items():
            if name not in GAUGES:
                self._past[name] = self._past.get(name, 0.0) + value
        self._current = {}

    def totals(self) -> dict[str, float]:
        """Counters over all processes, gauges of the one that runs."""
        totals = dict(self._past)
        for name, value in self._current.items():
            totals[name] = value if name in GAUGES else totals.get(name, 0.0) + value
        return totals
