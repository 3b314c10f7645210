"""The loaded library: its log, its devices, its block sizes. Callbacks live as long as the process."""

import ctypes
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp.llama_cpp import _lib as libllama

_GPU_DEVICE_TYPES = (1, 2)  # GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU of ggml-backend.h
_WARN_LEVEL = 3  # GGML_LOG_LEVEL_WARN of ggml.h; 5 continues the line before
_KEPT_LINES = 12


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Free and total memory of one GPU, bytes."""

    name: str
    free_bytes: int
    total_bytes: int


class Library:
    """llama.cpp, initialised once per process.

    Its own log is not printed: the last warnings and errors are kept for a failure's message. They speak of the
    file and of memory, never of a prompt.
    """

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        callback = llama_cpp.llama_log_callback(self._keep_line)
        # llama.cpp keeps the address for ever and logs from any call, while nobody needs this object after the load:
        # so one reference is never given back.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(callback))
        llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        _load_backends()

    def last_words(self) -> str:
        """The last warnings and errors of llama.cpp as one line; "" where there were none."""
        return "; ".join(self._lines)

    def hardware(self) -> str:
        """What the loaded backends compute with, as llama.cpp names it: CPU : AVX2 | FMA | ..."""
        told: bytes = llama_cpp.llama_print_system_info()
        return told.decode("utf-8", "replace").replace(" = 1", "").strip(" |")

    def gpus(self) -> list[GpuMemory]:
        """The GPUs that layers can be put on, in llama.cpp's order."""
        if not llama_cpp.llama_supports_gpu_offload():
            return []
        ggml = _ggml()
        devices = [ggml.ggml_backend_dev_get(index) for index in range(ggml.ggml_backend_dev_count())]
        return [_gpu_memory(ggml, device) for device in devices if _is_gpu(ggml, device)]

    def _keep_line(self, level: int, text: bytes, _user_data: object) -> None:
        if _WARN_LEVEL <= level <= _WARN_LEVEL + 1:
            line = text.decode("utf-8", "replace").strip()
            if line:
                self._lines.append(line[:200])


def block_sizes(tensor_type: int) -> tuple[int, int]:
    """Elements and bytes of one block of a tensor type; (0, 0) where llama.cpp has no such type."""
    ggml = _ggml()
    if not 0 <= tensor_type < ggml.ggml_type_count:
        return 0, 0
    return int(ggml.ggml_blck_size(tensor_type)), int(ggml.ggml_type_size(tensor_type))


def _load_backends() -> None:
    """Where llama.cpp was built with a library for each family of CPUs, load the one that knows most of this CPU.

    It looks where it lies itself; by default llama.cpp would look in the working directory, too.
    """
    ggml = _ggml()
    if not ggml.ggml_backend_reg_count():
        ggml.ggml_backend_load_all_from_path(bytes(Path(libllama._name).parent))


def _ggml() -> Any:
    """The functions of libggml that the binding does not wrap, as libllama has loaded it."""
    ggml = libllama
    size, device = ctypes.c_size_t, ctypes.c_void_p
    for name, arguments, result in (
        ("ggml_backend_reg_count", [], size),
        ("ggml_backend_load_all_from_path", [ctypes.c_char_p], None),
        ("ggml_backend_dev_count", [], size),
        ("ggml_backend_dev_get", [size], device),
        ("ggml_backend_dev_type", [device], ctypes.c_int),
        ("ggml_backend_dev_description", [device], ctypes.c_char_p),
        ("ggml_backend_dev_memory", [device, ctypes.POINTER(size), ctypes.POINTER(size)], None),
        ("ggml_blck_size", [ctypes.c_int], ctypes.c_int64),
        ("ggml_type_size", [ctypes.c_int], size),
    ):
        function = getattr(ggml, name)
        function.argtypes, function.restype = arguments, result
    ggml.ggml_type_count = 43
    return ggml


def _is_gpu(ggml: Any, device: int) -> bool:
    return ggml.ggml_backend_dev_type(device) in _GPU_DEVICE_TYPES


def _gpu_memory(ggml: Any, device: int) -> GpuMemory:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    description: bytes = ggml.ggml_backend_dev_description(device) or b"GPU"
    return GpuMemory(description.decode("utf-8", "replace"), free.value, total.value)
