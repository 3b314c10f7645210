"""The charts' values as their generator reads them, for the tests that compare."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

CHARTS = Path(__file__).parents[2] / "charts"


@cache
def leaves(chart: str) -> dict[str, Any]:
    """Dotted path -> default of every value of a chart."""
    spec = importlib.util.spec_from_file_location("charts_generate_values", CHARTS / "generate/values.py")
    assert spec and spec.loader
    values = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(values)
    return {path: value.default for path, value in values.leaves(values.read(CHARTS / chart / "values.yaml"))}
