"""The pinned binding against the header it was built from: a field at another offset would be read as garbage."""

import ctypes
import subprocess
from pathlib import Path

import llama_cpp
import pytest
from parts.needs import left_out, need

HEADERS = Path(llama_cpp.__file__).parents[1] / "include"
STRUCTS = (
    "llama_batch",
    "llama_model_params",
    "llama_context_params",
    "llama_sampler_chain_params",
    "llama_token_data",
    "llama_token_data_array",
    "llama_logit_bias",
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Sizes and offsets as a C compiler sees them: `struct` and `struct.field`."""
    compiler = need("cc", "apt-get install gcc")
    if not (HEADERS / "llama.h").exists():
        left_out("llama.h is not installed beside llama_cpp; get it: build llama-cpp-python from source")
    folder = tmp_path_factory.mktemp("layout")
    lines = [f'P("{name}", sizeof(struct {name}));' for name in STRUCTS]
    for name in STRUCTS:
        lines += [f'P("{name}.{field[0]}", offsetof(struct {name}, {field[0]}));' for field in fields(name)]
    source = folder / "layout.c"
    source.write_text(
        '#include <stddef.h>\n#include <stdio.h>\n#include <llama.h>\n#define P(n, v) printf("%s %zu\\n", n, v)\n'
        f"int main(void) {{ {' '.join(lines)} return 0; }}\n"
    )
    subprocess.run([compiler, f"-I{HEADERS}", str(source), "-o", str(folder / "layout")], check=True, timeout=60)
    output = subprocess.run([str(folder / "layout")], check=True, capture_output=True, text=True, timeout=10).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def fields(struct: str) -> list[tuple[str, object]]:
    return list(getattr(llama_cpp, struct)._fields_)


@pytest.mark.parametrize("struct", STRUCTS)
def test_the_binding_has_the_layout_of_the_header(struct: str, measured: dict[str, int]) -> None:
    bound = getattr(llama_cpp, struct)

    offsets = {f"{struct}.{field[0]}": getattr(bound, field[0]).offset for field in fields(struct)}

    assert ctypes.sizeof(bound) == measured[struct]
    assert offsets == {name: measured[name] for name in offsets}


def test_the_binding_is_the_pinned_release() -> None:
    assert llama_cpp.__version__ == "0.3.36"
