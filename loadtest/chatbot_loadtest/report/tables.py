"""The page's tables and cards: figures as text for people."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from chatbot_loadtest.report.comparison import comparison
from chatbot_loadtest.scenarios import Release

CARDS: Final = (
    (
        "Answers",
        (
            ("success_share", "of requests were answered", "share"),
            ("requests", "requests", "count"),
            ("requests_per_hour", "requests per hour", "count"),
            ("users_answered_share", "of users got an answer", "share"),
            ("connection_errors", "connection errors", "count"),
            ("longest_silence_seconds", "longest time without an answer", "seconds"),
        ),
    ),
    (
        "Response time",
        (
            ("mean_seconds", "mean", "seconds"),
            ("p50_seconds", "p50", "seconds"),
            ("p95_seconds", "p95", "seconds"),
            ("p99_seconds", "p99", "seconds"),
            ("first_token_p95_seconds", "to the first token, p95", "seconds"),
            ("between_tokens_p95_seconds", "between tokens, p95", "seconds"),
        ),
    ),
    (
        "Waiting line",
        (
            ("most_waiting", "waited at once, at most", "count"),
            ("saturation_users", "users saturate it", "count"),
            ("goodput_ratio", "of the best rate at the most users", "share"),
            ("refused_share", "of requests were asked to come back", "share"),
            ("got_in_share", "of those were answered in the end", "share"),
            ("retry_after_kept_share", "of returns were let in at once", "share"),
            ("promise_error_p50_seconds", "error of promised waits, p50", "seconds"),
            ("promise_error_p95_seconds", "error of promised waits, p95", "seconds"),
        ),
    ),
)


def shown(value: float | None, unit: str) -> str:
    """A figure for people."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value * 100:.1f} %"
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value * 1000:.0f} ms" if value < 0.1 else f"{value:.2f} s"


def cards(figures: Mapping[str, float | None]) -> str:
    """All groups of them; of what was not measured only the first of a group."""
    groups = (
        f'<section class="group"><h2>{escape(title)}</h2><div class="cards">'
        + "".join(_card(figures, *card) for card in group if figures[card[0]] is not None or card == group[0])
        + "</div></section>"
        for title, group in CARDS
    )
    return f'<div class="groups">{"".join(groups)}</div>'


def _card(figures: Mapping[str, float | None], name: str, label: str, unit: str) -> str:
    return (
        f'<div class="card" data-figure="{name}"><b>{shown(figures[name], unit)}</b><span>{escape(label)}</span></div>'
    )


def verdicts(found: Sequence[Mapping[str, Any]]) -> str:
    """Rules and what was measured."""
    rows = [
        (
            "met" if verdict["is_met"] else "missed",
            verdict["threshold"],
            "nothing measured" if verdict["value"] is None else f"{verdict['value']:.4g}",
            "objective" if verdict["is_objective"] else "threshold",
        )
        for verdict in found
    ]
    return table(("verdict", "rule", "measured", "kind"), rows, "rules")


def groups(label: str, found: Mapping[str, Any]) -> str:
    """One row for each kind of request."""
    rows = [
        (
            name,
            str(group["answered"]),
            str(group["failed"]),
            *(shown(group["seconds"][cut], "seconds") for cut in ("mean", "p50", "p95", "p99")),
        )
        for name, group in found.items()
    ]
    return table((label, "answered", "failed", "mean", "p50", "p95", "p99"), rows)


def stages(found: Sequence[Mapping[str, Any]]) -> str:
    """One row for each number of users."""
    rows = [
        (
            str(stage["users"]),
            f"{stage['seconds']:.0f} s",
            f"{stage['answers_per_second']:.2f}",
            str(stage["most_waiting"]),
            shown(stage["p95_seconds"], "seconds"),
        )
        for stage in found
    ]
    return table(("users", "held for", "answers per second", "most waiting", "p95"), rows)


def outcomes(found: Mapping[str, int]) -> str:
    """How many requests ended in what."""
    total = sum(found.values())
    rows = [(name, f"{count:,}", shown(count / total, "share")) for name, count in found.items() if count]
    return table(("outcome", "requests", "share"), rows)


def returns(found: Mapping[str, Mapping[str, int]]) -> str:
    """How requests ended that were sent so many times again."""
    rows = [(count, f"{ends['answered']:,}", f"{ends['failed']:,}") for count, ends in found.items()]
    return table(("times sent again", "answered", "failed"), rows)


def release(past: Release, figures: Mapping[str, float | None]) -> str:
    """This run beside the release whose load it repeats."""
    low, high = past.requests_per_hour
    rows = [
        ("mean response time", f"{past.mean_seconds:.1f} s", shown(figures["mean_seconds"], "seconds")),
        ("answered", shown(past.success_share, "share"), shown(figures["success_share"], "share")),
        ("requests per hour", f"{low:,.0f}–{high:,.0f}", shown(figures["requests_per_hour"], "count")),
        ("waiting", f"saturated by {past.waiting}", f"at most {shown(figures['most_waiting'], 'count')}"),
    ]
    return (
        f"<section><h2>Beside {escape(past.name)}</h2>"
        + table(("figure", f"{past.name}, as it was measured", "this run"), rows)
        + '<p class="empty">The same number of users, but another machine and another model: it tells how the load '
        "felt then and now, not which one is faster.</p></section>"
    )


def earlier(summary: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str:
    """This run beside a summary that was given."""
    if previous is None:
        return '<p class="empty">No earlier run was given (<code>--previous</code>).</p>'
    return table(("figure", "before", "now", "change"), comparison(previous["figures"], summary["figures"]))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """One that scrolls by itself where it is too wide."""
    if not rows:
        return '<p class="empty">Nothing to show.</p>'
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    kind = f' class="{text}"' if text in ("met", "missed") else ""
    return f"<td{kind}>{escape(text)}</td>"
