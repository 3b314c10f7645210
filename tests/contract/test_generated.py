"""What is derived from code is what the code says now; otherwise `make generate`."""

from pathlib import Path

from parts.generated import generator


def test_every_generated_file_is_current() -> None:
    assert [str(path) for path in generator.pages if not generator.is_current(path)] == []


def test_every_openapi_file_has_a_generator() -> None:
    files = Path(__file__).parents[2].glob("docs/openapi/*.json")

    assert {f"docs/openapi/{file.name}" for file in files} == {
        str(path) for path in generator.pages if path.suffix == ".json"
    }
