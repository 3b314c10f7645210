"""The README tells the truth: commands, paths, variables, endpoints and metrics that it names exist."""

import json
import re
from pathlib import Path

from chatbot.server.metrics import METRICS
from parts import readme

ROOT = Path(__file__).parents[2]
TEXT = readme.text()
MAKEFILE = (ROOT / "Makefile").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")]
FIELDS = {"chatbot_tools", "chatbot_tool_calls"}
"""Of requests and answers, which are called as metrics are."""
GATEWAY, INTERNAL = 8001, 9090


def test_two_commands_stand_within_the_first_15_lines() -> None:
    beginning = "\n".join(TEXT.splitlines()[:15])

    assert "$ make run" in beginning
    assert "$ make test" in beginning


def test_every_make_target_that_is_named_exists() -> None:
    for document in DOCUMENTS:
        named = set(re.findall(r"`(?:\$ )?make ([a-z-]+)", document.read_text()))
        assert {target for target in named if not re.search(rf"^{target}\b.*:", MAKEFILE, re.M)} == set(), document


def test_every_link_leads_somewhere() -> None:
    broken = {
        str(document.relative_to(ROOT)): link
        for document in DOCUMENTS
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())
        if not (document.parent / link).exists()
    }

    assert broken == {}


def test_every_place_of_the_map_exists() -> None:
    places = re.findall(r"^\| `([a-z]+/)` \|", TEXT, re.M)

    assert len(places) >= 5
    assert [place for place in places if not (ROOT / place).is_dir()] == []


def test_every_file_that_a_decision_names_exists() -> None:
    missing = {
        (decision.name, path)
        for decision in (ROOT / "docs/adr").glob("*.md")
        for path in re.findall(r"`((?:tests|services|operator|charts|docs)/[\w./-]+)`", decision.read_text())
        if not (ROOT / path).exists()
    }

    assert {path for _, path in missing} == {"operator/__init__.py"}, "the one file that must never exist"


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/adr").glob("*.md"))

    assert numbers == list(range(1, len(numbers) + 1))


def test_every_endpoint_of_the_examples_is_in_the_openapi_files() -> None:
    for example in readme.examples():
        if example.port != GATEWAY:
            continue
        service, _, path = example.path.strip("/").partition("/")
        paths = json.loads((ROOT / f"docs/openapi/{service}.json").read_text())["paths"]
        matching = [known for known in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), f"/{path}")]
        assert any(example.method.lower() in paths[known] for known in matching), example.command


def test_every_endpoint_of_the_openapi_files_is_shown_or_named() -> None:
    shown = {re.sub(r"^/\w+", "", example.path, count=1) for example in readme.examples()}
    for file in (ROOT / "docs/openapi").glob("*.json"):
        for path in json.loads(file.read_text())["paths"]:
            pattern = re.sub(r"\{\w+\}", "[^/]+", path)
            assert any(re.fullmatch(pattern, one) for one in shown) or path in TEXT, f"{file.name}: {path}"


def test_every_example_shows_its_answer() -> None:
    silent = [example.command for example in readme.examples() if not example.answer and example.method != "DELETE"]

    assert silent == []


def test_every_metric_that_is_named_exists() -> None:
    known = {metric.name for metric in METRICS} | FIELDS
    for document in (ROOT / "README.md", ROOT / "docs/operations.md"):
        named = set(re.findall(r"`(chatbot_[a-z_]+)`", document.read_text()))
        assert {name for name in named if name not in known and "operator" not in name} == set()
