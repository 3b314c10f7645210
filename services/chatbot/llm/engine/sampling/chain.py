"""How the next token of one generation is chosen: a chain of llama.cpp's samplers with its own random numbers."""

import ctypes
import secrets
from collections.abc import Iterable
from typing import Any

import llama_cpp

from chatbot.llm.engine.frames import SamplingFrame
from chatbot.llm.engine.sampling.grammar import Grammar

# top_p sorts what it gets: 11 ms per row of a 128k vocabulary without top_k in front, 0.2 ms behind it.
_WIDEST_TOP_K = 1024
_MINUS_INFINITY = float("-inf")


class SamplerChain:
    """One request's chain. It survives a preemption and is freed once.

    Attributes:
        width: The choice is surely among so many tokens with the highest logits; 0 where it may be any token.
        is_plain: Whether it is the token with the highest logit, always.
        grammar: What the text must follow; owned by the chain.
    """

    def __init__(
        self,
        sampling: SamplingFrame,
        n_vocab: int,
        seen: Iterable[int] = (),
        suppressed: Iterable[int] = (),
        grammar: Grammar | None = None,
    ) -> None:
        """Build the chain: bias, penalties, top_k, top_p, min_p, temperature, dist; greedy at temperature 0.

        Args:
            sampling: Names and meaning of llama.cpp. `top_k` 0 means 1,024.
            n_vocab: Tokens of the model.
            seen: End of the prompt, which the penalties look at too.
            suppressed: Tokens that are never chosen.
            grammar: What the text must follow. It stays outside of the chain, which the penalties show the prompt.
        """
        self.grammar = grammar
        self.handle: Any = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        suppressed = list(suppressed)
        self._add_bias(n_vocab, suppressed)
        last_n = sampling["penalty_last_n"]
        penalties = (sampling["repeat_penalty"], sampling["frequency_penalty"], sampling["presence_penalty"])
        has_penalties = last_n > 0 and penalties != (1.0, 0.0, 0.0)
        if has_penalties:
            self._add(llama_cpp.llama_sampler_init_penalties(n_vocab, last_n, *penalties))
        is_greedy = sampling["temperature"] <= 0
        # Each token that a penalty or a bias may push down makes room for one more; one that is raised could be any.
        lowered = len(suppressed) + (last_n if has_penalties else 0)
        may_raise = has_penalties and (penalties[0] < 1 or min(penalties[1:]) < 0)
        self.width = 0 if may_raise else lowered + (1 if is_greedy else _top_k(sampling))
        self.is_plain = is_greedy and self.width == 1 and grammar is None
        if is_greedy:
            self._add(llama_cpp.llama_sampler_init_greedy())
        else:
            self._add_random(sampling)
        for token in list(seen)[-last_n:] if last_n > 0 else ():
            llama_cpp.llama_sampler_accept(self.handle, token)

    def accept(self, token: int) -> None:
        """Go on behind a token that was chosen, and that the grammar allows."""
        llama_cpp.llama_sampler_accept(self.handle, token)
        if self.grammar is not None:
            self.grammar.accept(token)

    @property
    def is_over(self) -> bool:
        """Whether its grammar lets nothing follow but the end."""
        return self.grammar is not None and self.grammar.is_over()

    def free(self) -> None:
        """Free the chain; a second call does nothing."""
        if self.handle is not None:
            llama_cpp.llama_sampler_free(self.handle)
            self.handle = None
        if self.grammar is not None:
            self.grammar.free()

    def _add_random(self, sampling: SamplingFrame) -> None:
        self._add(llama_cpp.llama_sampler_init_top_k(_top_k(sampling)))
        self._add(llama_cpp.llama_sampler_init_top_p(sampling["top_p"], 1))
        if sampling["min_p"] > 0:
            self._add(llama_cpp.llama_sampler_init_min_p(sampling["min_p"], 1))
        self._add(llama_cpp.llama_sampler_init_temp(sampling["temperature"]))
        seed = sampling["seed"]
        # llama.cpp reads 0xFFFFFFFF as "draw one".
        self._add(llama_cpp.llama_sampler_init_dist(secrets.randbits(32) if seed is None else seed % 0xFFFFFFFF))

    def _add_bias(self, n_vocab: int, suppressed: list[int]) -> None:
        if suppressed:
            biases = (llama_cpp.llama_logit_bias * len(suppressed))(
                *(llama_cpp.llama_logit_bias(token, _MINUS_INFINITY) for token in suppressed)
            )
            pointer = ctypes.cast(biases, ctypes.POINTER(llama_cpp.llama_logit_bias))
            self._add(llama_cpp.llama_sampler_init_logit_bias(n_vocab, len(suppressed), pointer))

    def _add(self, sampler: Any) -> None:
        llama_cpp.llama_sampler_chain_add(self.handle, sampler)


def _top_k(sampling: SamplingFrame) -> int:
    top_k = sampling["top_k"]
    return top_k if 0 < top_k < _WIDEST_TOP_K else _WIDEST_TOP_K
