"""`docs/generate.py` as a module: what is derived from code, for the tests that compare."""

import importlib.util
from functools import cached_property
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


class Generator:
    """The generator of this checkout, loaded when it is first asked."""

    @cached_property
    def module(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @cached_property
    def pages(self) -> dict[Path, str]:
        pages: dict[Path, str] = self.module.pages()
        return pages

    def is_current(self, path: Path) -> bool:
        """Whether the file in the checkout is what the generator writes now; else `make generate`."""
        return (ROOT / path).read_text() == self.pages[path]


generator = Generator()
