"""Breaks the code in named ways, one at a time, and shows that a named test notices each (`make mutants`).

A mutant is applied to a temporary copy of the checkout; the checkout itself is never touched. Names on the command
line choose some of them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 300
COPIED = ("services", "operator", "tests", "docs", "charts", "pyproject.toml", "README.md")
TESTS_FAILED = 1  # pytest's exit status; others mean that it could not even run them


@dataclass(frozen=True)
class Mutant:
    """One defect.

    Attributes:
        name: What is wrong with the code afterwards.
        file: Path from the root.
        old: Text that occurs once in the file.
        new: Text that takes its place.
        test: pytest's id of the test that must turn red; green without the mutant.
    """

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS: tuple[Mutant, ...] = ()


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """A copy to break, without caches and builds."""
    with tempfile.TemporaryDirectory(prefix="chatbot-mutants-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, copy / name)
        yield copy


def status_of(copy: Path, tests: list[str]) -> int:
    """Run tests of a copy, importing the copy's packages; pytest's exit status."""
    paths = os.pathsep.join(str(copy / place) for place in ("services", "operator"))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    run = subprocess.run(
        command,
        cwd=copy,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if run.returncode not in (0, TESTS_FAILED):
        print(run.stdout.decode(errors="replace")[-3000:])
    return run.returncode


@contextmanager
def applied(copy: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with one defect.

    Raises:
        ValueError: The text to replace does not occur exactly once: the code has moved on, the mutant must follow.
    """
    path = copy / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text occurs {text.count(mutant.old)} times in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        yield
    finally:
        path.write_text(text)


def main(names: list[str]) -> int:
    """0 where every chosen mutant was noticed."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    survivors = []
    with copy_of_checkout() as copy:
        print(f"without a mutant: {len({mutant.test for mutant in chosen})} tests", flush=True)
        if status_of(copy, sorted({mutant.test for mutant in chosen})) != 0:
            print("not green: mend that first")
            return 1
        for mutant in chosen:
            start = time.monotonic()
            with applied(copy, mutant):
                noticed = status_of(copy, [mutant.test]) == TESTS_FAILED
            survivors += [] if noticed else [mutant.name]
            verdict = "noticed" if noticed else "SURVIVED"
            print(f"{verdict}: {mutant.name} ({mutant.test}, {time.monotonic() - start:.0f} s)", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants noticed")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
