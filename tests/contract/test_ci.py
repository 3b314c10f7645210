"""The commands that people, CI and the README use are the same ones."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*)(?: [a-z-]+)*:", MAKEFILE, re.M))
PROMISED = {"help", "run", "test", "test-cluster", "check", "fix", "generate", "deps", "images", "bench", "loadtest"}


def test_help_lists_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607

    assert PROMISED <= TARGETS
    assert [target for target in TARGETS if not re.search(rf"\bmake {target}\b", shown)] == []


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci/run").read_text()

    assert re.search(r"make deps$", script, re.M)
    assert re.search(r"make check test$", script, re.M)
    assert "export CI=true" in script
    assert "make test" in (ROOT / "README.md").read_text()


def test_scripts_can_be_run_and_stop_at_the_first_error() -> None:
    scripts = [file for file in (ROOT / ".ci").iterdir() if file.is_file() and not file.suffix]

    assert {script.name for script in scripts} >= {"run", "deps"}
    for script in scripts:
        assert os.access(script, os.X_OK), script
        assert "set -euo pipefail" in script.read_text(), script
