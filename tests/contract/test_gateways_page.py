"""docs/gateways.md has a cell for every check and gateway of the suite."""

from parts.gateway_matrix import CHECKS, PAGE, TITLES


def test_every_check_has_a_row_and_no_cell_is_empty() -> None:
    rows = [line.strip("|").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]

    assert [cells[0].strip() for cells in rows] == list(CHECKS.values())
    assert {len(cells) for cells in rows} == {1 + len(TITLES)}
    assert [cells[0] for cells in rows if "not run" in " ".join(cells)] == []
