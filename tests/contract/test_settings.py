"""Settings: every variable that is named anywhere exists."""

import re
from pathlib import Path

from chatbot.server.settings.whole import Settings
from parts.generated import generator

ROOT = Path(__file__).parents[2]
# Read by the tests and by the operator, not by the services.
OTHERS = ("CHATBOT_TEST_", "CHATBOT_OPERATOR_")
VARIABLE = re.compile(r"\bCHATBOT_[A-Z0-9]+(?:_[A-Z0-9]+)+\b")


def known() -> set[str]:
    return {
        f"CHATBOT_{section}_{name}".upper()
        for section, field in Settings.model_fields.items()
        for name in getattr(field.annotation, "model_fields", {})
    }


def written_about() -> dict[Path, set[str]]:
    """Variables named in documents, containers and charts."""
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile"]
    files += [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*/Dockerfile"), *ROOT.glob("charts/**/*.y*ml")]
    return {path: set(VARIABLE.findall(path.read_text())) for path in files}


def test_every_variable_that_is_written_about_exists() -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(name for name in names - known() if not name.startswith(OTHERS))
        for path, names in written_about().items()
    }

    assert {path: names for path, names in wrong.items() if names} == {}


def test_every_setting_says_what_it_is_for() -> None:
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}

    silent = [
        f"{section}.{name}"
        for section, model in sections.items()
        for name in getattr(model, "model_fields", {})
        if not generator.module.field_texts(model).get(name)
    ]

    assert silent == []
