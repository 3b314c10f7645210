import io

import pytest
from chatbot.local.terminal import Terminal, size


class Screen(io.StringIO):
    """A stream that is, or is not, a terminal."""

    def __init__(self, live: bool) -> None:
        super().__init__()
        self._live = live

    def isatty(self) -> bool:
        return self._live


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def drawn(live: bool, seconds: float, end: bool = False) -> str:
    """What a bar wrote that was told ten times a second."""
    screen, clock = Screen(live), Clock()
    bar = Terminal(screen, clock).bar("Loading")
    while clock.now < seconds:
        bar.show(clock.now / seconds)
        clock.now += 0.1
    if end:
        bar.end()
    return screen.getvalue()


@pytest.mark.parametrize("live", [True, False])
def test_nothing_is_drawn_for_what_is_quick(live: bool) -> None:
    assert drawn(live, 1.9, end=True) == ""


def test_terminal_sees_one_line_that_grows_and_goes() -> None:
    written = drawn(True, 10, end=True)

    assert "\n" not in written
    assert written.count("\r") > 50
    assert "█" in written
    assert written.endswith("\r" + " " * (len(written.split("\r")[-2])) + "\r")


def test_file_sees_a_line_every_few_seconds() -> None:
    lines = drawn(False, 21, end=True).splitlines()

    assert 3 <= len(lines) <= 5
    assert all(line.startswith("  Loading") and "%" in line for line in lines)


@pytest.mark.parametrize("fraction", [-1.0, 0.0, 0.5, 1.0, 7.0, None])
def test_any_fraction_can_be_drawn(fraction: float | None) -> None:
    screen, clock = Screen(True), Clock()
    bar = Terminal(screen, clock).bar("Loading")
    clock.now = 3.0

    bar.show(fraction, "4 of 8")

    assert "4 of 8" in screen.getvalue()
    assert screen.getvalue().count("█") <= 32


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (4_886_304, "4.7 MiB"), (8_500_000_000, "7.9 GiB"), (5e15, "4656612.9 GiB")],
)
def test_sizes_are_for_people(size_bytes: float, shown: str) -> None:
    assert size(size_bytes) == shown


def test_terminal_that_knows_no_hangul_gets_question_marks() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)

    Terminal(stream).say("안녕 ok")

    assert raw.getvalue() == b"?? ok\n"
