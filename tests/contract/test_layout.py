"""The shape of the house: places and packages, sizes, names."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES = 300
FOLDER_FILES = 12
PACKAGES = ("services/chatbot", "operator/chatbot_operator")

# What may lie at the top. A new name here is a decision that deserves an ADR.
TOP = {
    ".ci",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "charts",
    "docs",
    "loadtest",
    "manifests",
    "operator",
    "packages.txt",
    "pyproject.toml",
    "services",
    "tests",
    "uv.lock",
}
VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "base", "manager"}


def tracked() -> list[Path]:
    """Every file that git knows, relative to the root."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)  # noqa: S607
    return [Path(name) for name in listing.stdout.decode().split("\0") if name]


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def test_no_top_level_folder_is_importable() -> None:
    assert [path.parent.name for path in ROOT.glob("*/__init__.py")] == []


def test_no_shipped_package_shadows_the_standard_library() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())

    packages = config["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert packages == list(PACKAGES)
    assert {Path(package).name for package in packages} & sys.stdlib_module_names == set()


def test_only_known_names_lie_at_the_top() -> None:
    assert {path.parts[0] for path in tracked()} - TOP == set()


def test_every_module_fits_on_a_few_screens() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}

    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_can_be_read_at_a_glance(package: str) -> None:
    folders = [folder for folder in [ROOT / package, *(ROOT / package).rglob("*/")] if folder.name != "__pycache__"]

    counts = {str(folder.relative_to(ROOT)): len([f for f in folder.iterdir() if f.is_file()]) for folder in folders}

    # __init__.py is not counted: it holds one sentence about the folder
    assert {name: count - 1 for name, count in counts.items() if count - 1 > FOLDER_FILES} == {}


def test_no_module_has_a_vague_name() -> None:
    assert [str(path.relative_to(ROOT)) for path in sources() if path.stem in VAGUE] == []


def test_every_module_says_why_it_exists() -> None:
    assert [str(p.relative_to(ROOT)) for p in sources() if not p.read_text().startswith('"""')] == []


def test_no_file_names_a_folder_of_one_persons_machine() -> None:
    home = re.compile(rb"(?<![\w.$~/-])/(?:root|work|home/[a-z]\w*|Users/[A-Za-z]\w*)/")

    found = [str(path) for path in tracked() if path.suffix != ".gguf" and home.search((ROOT / path).read_bytes())]

    assert found == []
