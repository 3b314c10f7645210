"""A run beside an earlier one."""

from collections.abc import Mapping


def comparison(before: Mapping[str, float | None], now: Mapping[str, float | None]) -> list[tuple[str, str, str, str]]:
    """Name, earlier value, value and change of each figure that both have."""
    return [
        (name, _shown(before[name]), _shown(now[name]), _change(before[name], now[name]))
        for name in now
        if name in before
    ]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _change(before: float | None, now: float | None) -> str:
    if before is None or now is None:
        return "–"
    if before == 0:
        return "0" if now == 0 else "new"
    return f"{(now - before) / before * 100:+.1f} %"
