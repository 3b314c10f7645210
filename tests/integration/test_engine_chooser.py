"""Choosing among the highest logits gives the tokens that llama.cpp chooses among all of them."""

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
import pytest
from chatbot.llm.engine.native.candidates import Candidates
from chatbot.llm.engine.sampling.chain import SamplerChain
from chatbot.llm.engine.sampling.chooser import Chooser
from numpy.typing import NDArray
from parts.toy_engine import GREEDY

N_VOCAB = 5000  # no multiple of a group's size: the last tokens belong to no group
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"repeat_penalty": 1.3},
    {"repeat_penalty": 0.8},
    {"frequency_penalty": 1.5, "presence_penalty": -2.0},
    {"temperature": 0.7},
    {"temperature": 0.7, "repeat_penalty": 1.08},
    {"temperature": 1.5, "top_p": 1.0, "top_k": 200, "min_p": 0.02, "presence_penalty": 1.0},
    {"temperature": 1.0, "top_k": 0, "top_p": 0.95},
)


class FakeContext:
    """Logits without a model; `sample` is what `llama_sampler_sample` does."""

    n_vocab = N_VOCAB

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self._logits = logits
        self._all = Candidates(N_VOCAB)
        self.whole = 0

    def logits(self, rows: Sequence[int]) -> NDArray[np.float32]:
        return self._logits[list(rows)]

    def sample(self, chain: Any, row: int) -> int:
        self.whole += 1
        return self._all.sample(chain, np.arange(N_VOCAB), self._logits[row])


def test_the_layout_is_that_of_the_binding() -> None:
    layout = np.zeros(0, Candidates(1)._data.dtype).dtype

    assert layout.itemsize == ctypes.sizeof(llama_cpp.llama_token_data)
    assert layout.fields is not None
    offsets = {name: getattr(llama_cpp.llama_token_data, name).offset for name in ("id", "logit", "p")}
    assert {name: layout.fields[name][1] for name in offsets} == offsets


@pytest.mark.parametrize("shape", ["random", "steep", "ends"])
def test_the_same_tokens_are_chosen(shape: str) -> None:
    rng = np.random.default_rng(7)
    seen = rng.integers(0, N_VOCAB, 100).tolist()
    short = [SamplerChain({**GREEDY, **each}, N_VOCAB, seen, suppressed=[3, 4]) for each in SETTINGS]  # type: ignore[typeddict-item]
    whole = [SamplerChain({**GREEDY, **each}, N_VOCAB, seen, suppressed=[3, 4]) for each in SETTINGS]  # type: ignore[typeddict-item]
    rows = list(range(len(SETTINGS)))
    for _ in range(60):
        logits = rng.standard_normal((len(rows), N_VOCAB), np.float32) * (30 if shape == "steep" else 2)
        logits[:, seen[-64:]] += 3  # what a penalty pushes down is at the top
        if shape == "ends":
            logits[:, -30:] += 8
        context = FakeContext(logits)

        tokens = Chooser(context).choose(short, rows)  # type: ignore[arg-type]

        assert tokens == Chooser(context, may_shorten=False).choose(whole, rows)  # type: ignore[arg-type]
    for chain in (*short, *whole):
        chain.free()


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_penalty_brings_up_tokens_from_below_all_that_it_pushes_down(temperature: float) -> None:
    rng = np.random.default_rng(7)
    seen = rng.choice(N_VOCAB, 64, replace=False).tolist()
    sampling: Any = {**GREEDY, "temperature": temperature, "repeat_penalty": 30.0, "top_k": 5}
    for _ in range(20):
        logits = rng.standard_normal((1, N_VOCAB), np.float32)
        logits[:, seen] += 20  # the 64 highest; one thirtieth of it is below the rest's best
        short, whole = (SamplerChain(sampling, N_VOCAB, seen) for _ in range(2))
        context = FakeContext(logits)

        tokens = Chooser(context).choose([short], [0])  # type: ignore[arg-type]

        assert context.whole == 0
        assert tokens == Chooser(context, may_shorten=False).choose([whole], [0])  # type: ignore[arg-type]
        assert tokens[0] not in seen
        short.free()
        whole.free()


def test_only_a_chain_that_may_raise_a_token_or_is_wide_looks_at_all() -> None:
    chains = [SamplerChain({**GREEDY, **each}, N_VOCAB) for each in SETTINGS]  # type: ignore[typeddict-item]
    context = FakeContext(np.random.default_rng(1).standard_normal((len(chains), N_VOCAB), np.float32))

    Chooser(context).choose(chains, list(range(len(chains))))  # type: ignore[arg-type]

    assert context.whole == 3  # repeat_penalty < 1, presence_penalty < 0, top_k 1,024
    for chain in chains:
        chain.free()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_row_without_numbers_has_no_token_and_spoils_no_other(value: float) -> None:
    chains = [SamplerChain({**GREEDY, "temperature": 0.7}, N_VOCAB) for _ in range(3)]
    logits = np.random.default_rng(1).standard_normal((3, N_VOCAB), np.float32)
    logits[1, 77] = value

    tokens = Chooser(FakeContext(logits)).choose(chains, [0, 1, 2])  # type: ignore[arg-type]

    assert [token is None for token in tokens] == [False, True, False]
    for chain in chains:
        chain.free()


def test_equal_logits_are_no_difficulty() -> None:
    chain = SamplerChain({**GREEDY, "temperature": 0.7, "repeat_penalty": 1.1}, N_VOCAB)

    (token,) = Chooser(FakeContext(np.zeros((1, N_VOCAB), np.float32))).choose([chain], [0])  # type: ignore[arg-type]

    assert token is not None and 0 <= token < N_VOCAB
    chain.free()
