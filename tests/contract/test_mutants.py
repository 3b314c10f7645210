"""Mutants follow the code: each still changes something, and the test that it names is there."""

import re
from pathlib import Path

import pytest
from mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]


def ids(mutant: Mutant) -> str:
    return mutant.name.replace(" ", "-")


def test_there_are_at_least_ten_with_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 10


@pytest.mark.parametrize("mutant", MUTANTS, ids=ids)
def test_its_text_occurs_once(mutant: Mutant) -> None:
    for edit in mutant.edits:
        assert (ROOT / edit.file).read_text().count(edit.old) == 1, edit.old
        assert edit.new != edit.old


@pytest.mark.parametrize("mutant", MUTANTS, ids=ids)
def test_its_test_exists(mutant: Mutant) -> None:
    file, _, name = mutant.test.partition("::")

    assert re.search(rf"^(async )?def {re.escape(name.partition('[')[0])}\(", (ROOT / file).read_text(), re.M)
