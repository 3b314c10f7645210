"""The price table's file: hostile and mistyped YAML is refused with its place, and repeats nothing of it."""

from datetime import date
from pathlib import Path

import pytest
from chatbot.adapters.usage.prices_file import MOST_BYTES, load_prices
from chatbot.domain.generation import Usage
from chatbot.domain.usage.prices import PriceError
from chatbot.server.settings.accounts import UsageSettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.usage import open_prices

ROW = "- {model: small, match: ['small-*'], from: 2026-07-30, input: 0.20, cached_input: 0.02, output: 1.20}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prices.yaml"


def test_a_file_of_rows_is_a_table(path: Path) -> None:
    path.write_text(ROW + "- model: local/office\n  from: '2026-11-01'\n  input: 0.01\n  output: 0.03\n")

    cost = load_prices(path).cost("small-2026", Usage(1000, 1000, 500), date(2026, 11, 21))

    assert cost is not None
    assert cost.micro_usd == 1310


def test_an_empty_file_prices_nothing(path: Path) -> None:
    path.write_text("# nothing yet\n")

    assert not load_prices(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {model: small, from: 2026-07-30, input: 1, input: 2, output: 1}", "line 1: a field comes twice"),
        ("- &a {model: small}\n- *a", r"aliases"),
        ("- {model: small\n  from:", "line 2: no YAML"),
        ("- !!python/object/apply:os.system ['true']", "line 1: no YAML"),
        ("- {model: small, from: 2026-13-45, input: 1, output: 1}", "no YAML"),
        ("- {model: small, from: 2026-01-01, input: .nan, output: 1}", "row 1 .small.: 'input' is no finite number"),
        ("- {model: small, from: 2026-01-01, input: -1, output: 1}", "row 1 .small.: 'input' is negative"),
        ("[" * 3000, "no YAML"),
        ("? [a, b]\n: 1", "no YAML"),
        ("small: 1", "a list of rows"),
        ("\x00", "no YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(path: Path, text: str, said: str) -> None:
    path.write_text(text)

    with pytest.raises(PriceError, match=said):
        load_prices(path)


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b"- " + b"x" * MOST_BYTES])
def test_bytes_that_are_no_table_are_refused(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)

    with pytest.raises(PriceError, match="bytes|no YAML"):
        load_prices(path)


def test_a_table_that_cannot_be_used_stops_the_start_and_names_the_setting(path: Path) -> None:
    settings = Settings(usage=UsageSettings(prices_file=path))

    with pytest.raises(ValueError, match="^CHATBOT_USAGE_PRICES_FILE: the file cannot be read"):
        open_prices(settings)
    path.write_text(ROW.replace("1.20", "-5"))
    with pytest.raises(ValueError, match=r"^CHATBOT_USAGE_PRICES_FILE: row 1 \(small\): 'output' is negative"):
        open_prices(settings)
    assert not open_prices(Settings())
