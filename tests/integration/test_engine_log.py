"""llama.cpp's log has a callback of ours; llama.cpp may write a line at any time, long after the load."""

import subprocess
import sys

LOGS_LATER = """
import gc, sys
import llama_cpp
from chatbot.llm.engine.native.library import Library

library = Library()
if sys.argv[1] == "forgotten":
    del library
gc.collect()
strangers = []  # a freed callback's memory is soon another one's
others = [llama_cpp.llama_log_callback(lambda *words: strangers.append(words)) for _ in range(200)]
parameters = llama_cpp.llama_model_default_params()
assert not llama_cpp.llama_model_load_from_file(b"/there/is/no/such/file", parameters)
print("alive", len(strangers), library.last_words() if sys.argv[1] == "kept" else "")
"""


def test_a_line_of_llama_cpp_long_after_the_load_does_not_kill_the_engine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGS_LATER, "forgotten"], capture_output=True, text=True, timeout=120, check=False
    )

    assert (done.returncode, done.stdout.strip()) == (0, "alive 0"), done.stderr


def test_its_last_errors_are_kept_for_a_message() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGS_LATER, "kept"], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "alive" in done.stdout
    assert "no/such/file" in done.stdout
