"""One version for the distribution and both packages."""

import tomllib
from pathlib import Path

import chatbot
import chatbot_operator

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_both_packages_have_the_distributions_version() -> None:
    version = PYPROJECT["project"]["version"]

    assert chatbot.__version__ == version
    assert chatbot_operator.__version__ == version


def test_every_direct_dependency_is_pinned() -> None:
    project = PYPROJECT["project"]
    lists = [*project["optional-dependencies"].values(), *PYPROJECT["dependency-groups"].values()]

    assert [requirement for names in lists for requirement in names if "==" not in requirement] == []


def test_every_command_has_an_entry_point_that_exists() -> None:
    for target in PYPROJECT["project"]["scripts"].values():
        module = target.partition(":")[0].replace(".", "/")
        files = [ROOT / place / module for place in ("services", "operator")]
        assert any(file.with_suffix(".py").exists() or file.is_dir() for file in files), target
