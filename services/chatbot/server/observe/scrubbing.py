"""A tripwire behind the list of fields that logs may have: what looks like a person's or a key is cut out, and counted.

Nothing should ever be found: a count above zero says that a line of code logs what it must not. Patterns are bounded,
and run only over text that can hold them, so that a line costs a few microseconds.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from chatbot.server.metrics import LOG_SCRUBBED, METRICS, SCRUBBED_KINDS

_DIGITS: Final = re.compile(r"[0-9](?:[ .-]?[0-9]){8}")
"""What a number that is looked for has at least: nine digits with at most one sign between two."""

_TEXTS: Final[tuple[tuple[str, str, re.Pattern[str]], ...]] = (
    # A kind, what a text must hold to be looked at, and the pattern.
    ("key", "cbk_", re.compile(r"cbk_[A-Za-z0-9_]{8,80}")),
    ("key", "sk-", re.compile(r"\bsk-[A-Za-z0-9_-]{16,200}")),
    ("token", "eyJ", re.compile(r"\beyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,8192}(?:\.[A-Za-z0-9_-]{0,2048})?")),
    ("mail", "@", re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")),
)
_NUMBERS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    # Korea's resident registration number: birthday, century with sex, serial; since 2020 the last six are random.
    (
        "resident_number",
        re.compile(
            r"(?<![0-9A-Za-z-])[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[ -]?[1-8][0-9]{6}(?![0-9A-Za-z])"
        ),
    ),
    (
        "phone",
        re.compile(
            r"(?<![0-9A-Za-z.-])(?:\+82[ .-]?1|0\+?1|01)[016789][ .-]?[0-9]{3,4}[ .-]?[0-9]{4}(?![0-9A-Za-z])"
            r"|(?<![0-9A-Za-z.-])0(?:2|[3-6][1-5]|70)-[0-9]{3,4}-[0-9]{4}(?![0-9A-Za-z-])"
        ),
    ),
    ("card", re.compile(r"(?<![0-9A-Za-z.-])[3-6](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])")),
)
_CUT: Final = "[%s]"


class Scrubber:
    """Cuts out and counts. Safe to be used by several threads: a count may be lost, never a cut."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def clean(self, text: str) -> str:
        """The text without what must not be in a log; each is replaced by its kind in brackets."""
        for kind, needed, pattern in _TEXTS:
            if needed in text:
                text = pattern.sub(self._cutting(kind), text)
        if _DIGITS.search(text):
            for kind, pattern in _NUMBERS:
                text = pattern.sub(self._cutting(kind), text)
        return text

    def _cutting(self, kind: str) -> Callable[[re.Match[str]], str]:
        def cut(match: re.Match[str]) -> str:
            if kind == "card" and not is_luhn(match[0]):
                return match[0]
            self.found[kind] += 1
            return _CUT % kind

        return cut


def is_luhn(text: str) -> bool:
    """Whether the digits of a text end in the check digit that cards have (ISO/IEC 7812-1, annex B)."""
    digits = [int(one) for one in text if one.isdigit()]
    doubled = [sum(divmod(2 * one, 10)) for one in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


class ScrubCollector(Collector):
    """What was cut out of the logs of this process, under the label of each of its services.

    Args:
        services: Their names.
        found: Counts by kind.
    """

    def __init__(self, services: Sequence[str], found: Mapping[str, int]) -> None:
        self._services = services
        self._found = found

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counts as they are now, zeros included."""
        metric = next(one for one in METRICS if one.name == LOG_SCRUBBED)
        family = CounterMetricFamily(metric.name, metric.help, labels=["service", *metric.labels])
        for service in self._services:
            for kind in SCRUBBED_KINDS:
                family.add_metric([service, kind], self._found.get(kind, 0))
        yield family
