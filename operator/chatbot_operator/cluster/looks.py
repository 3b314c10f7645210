"""How long a look at the cluster took and how it ended, for the metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chatbot_operator.cluster.faults import ApiFault, Unreachable
from chatbot_operator.metrics import Metrics


@dataclass(slots=True)
class Look:
    """One look; `outcome` is one of `metrics.OUTCOMES`, told by whoever looks where it ends well."""

    outcome: str = "error"


@contextmanager
def timed_look(metrics: Metrics) -> Iterator[Look]:
    """Count a look when it is over, whatever ends it."""
    started, look = time.monotonic(), Look()
    try:
        yield look
    except Unreachable:
        look.outcome = "unreachable"
        raise
    except ApiFault:
        look.outcome = "refused"
        raise
    finally:
        metrics.reconcile_seconds.labels(look.outcome).observe(time.monotonic() - started)
