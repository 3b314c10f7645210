"""A fault that a running cluster is given, what is said of it, and the page docs/faults.md."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatbot_operator.plan.texts import TEXTS
from chatbot_operator.reasons import Reason

from parts import kube_load
from parts.kube_client import Document, wait_for
from parts.kube_objects import condition, story
from parts.kube_site import MODEL, Site
from parts.toy_gguf import make_toy

Act = Callable[[Site, Path], None]
_LEAST_ASKED = 5


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        title: What is broken, for people.
        inject: Breaks it.
        condition: Which condition tells.
        reason: And with which reason.
        model: Of which Model.
        heal: Mends it; the good model is then asked for again.
        seconds: The longest that telling may take.
    """

    title: str
    inject: Act
    condition: str
    reason: Reason
    model: str = MODEL
    heal: Act = lambda _site, _folder: None
    seconds: float = 120


@dataclass(frozen=True)
class Row:
    """What became of a fault."""

    fault: Fault
    seconds: float
    said: str
    asked: int
    failed: int


def suffer(site: Site, fault: Fault, folder: Path) -> Row:
    """Inject a fault while clients ask the last good model, wait until it is told, and mend it.

    Raises:
        AssertionError: It is not told in time, or not mended.
    """
    good = site.offer(make_toy(folder / "good.gguf", seed=1))
    try:
        with kube_load.asking(site.office, clients=2, stream_tokens=100) as load:
            began = time.monotonic()
            fault.inject(site, folder)
            wait_for(lambda: _is_told(site, fault), fault.seconds, lambda: story(_model(site, fault)))
            seconds = round(time.monotonic() - began, 1)
            described = " ".join(site.node.say(f"kubectl describe model {fault.model} -n chatbot").split())
            told = condition(_model(site, fault), fault.condition)["message"]
            assert " ".join(told.split()) in described
            wait_for(lambda: len(load.asked) >= _LEAST_ASKED, 120)
    finally:
        fault.heal(site, folder)
        site.until_ready(site.change(good), 300)
    return Row(fault, seconds, told.removesuffix(TEXTS[fault.reason].remedy).strip(), len(load.asked), len(load.failed))


def _model(site: Site, fault: Fault) -> Document:
    return site.node.kube.get("Model", "chatbot", fault.model)


def _is_told(site: Site, fault: Fault) -> bool:
    found = condition(_model(site, fault), fault.condition)
    return found.get("reason") == fault.reason


def page(faults: Sequence[Fault], rows: Sequence[Row], before: str, command: str) -> str:
    """The table as a page, in the order of the faults; one that was not measured this time keeps its row.

    Args:
        faults: All of them.
        rows: Those that were measured.
        before: The page as it is.
        command: What writes it.
    """
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines()}
    lines |= {row.fault.title: _line(row) for row in rows}
    head = [
        "# Faults and what is said of them",
        "",
        f"<!-- written by `{command}`; do not edit. CHATBOT_TEST_FAULTS='stops slower' measures only those again -->",
        "",
        "Each was injected into a running install of README on a real node (Kubernetes 1.36, containerd), two replicas",
        "of office, while clients without retries asked. Seconds are from the command that broke it to the condition;",
        "the text is the condition's message in `kubectl describe model`.",
        "",
        "| fault | condition, reason | after | what `kubectl describe` says | remedy | last good model answered |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(lines[fault.title] for fault in faults if fault.title in lines)]) + "\n"


def _line(row: Row) -> str:
    said, remedy = (
        text.replace("|", "\\|").replace("<", "&lt;") for text in (row.said, TEXTS[row.fault.reason].remedy)
    )
    return (
        f"| {row.fault.title} | `{row.fault.condition}`, `{row.fault.reason}` | {row.seconds} s "
        f"| {said} | {remedy} | {row.asked - row.failed} of {row.asked} |"
    )
