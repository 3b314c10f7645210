"""The next token of every output row of a step.

llama.cpp's samplers look at the whole vocabulary, 12 bytes a token and for each row anew. What a chain can choose is
among the few tokens with the highest logits, so those are found for all rows at once and only they go through it: the
same tokens come out, in a tenth of the time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.llm.engine.native.candidates import Candidates
from chatbot.llm.engine.native.model import Context
from chatbot.llm.engine.sampling.chain import SamplerChain
from chatbot.llm.engine.sampling.grammar import Grammar

Logits = NDArray[np.float32]
_DEEPEST_FOLD = 64
_ROOM = 4  # groups per wanted token: enough that few others come along


class Chooser:
    """Chooses on one context; belongs to the engine's thread."""

    def __init__(self, context: Context, *, may_shorten: bool = True) -> None:
        """With `may_shorten` False every chain looks at the whole vocabulary (to compare with)."""
        self._context = context
        self._widest = context.n_vocab // (2 * _ROOM) if may_shorten else 0
        self._candidates = Candidates(context.n_vocab)
        self._all = np.arange(context.n_vocab)

    def choose(self, chains: Sequence[SamplerChain], rows: Sequence[int]) -> list[int | None]:
        """A token per row, accepted by its chain; None where the logits are no numbers or a grammar allows nothing."""
        logits = self._context.logits(rows)
        finite = _are_finite(logits)
        widths = [chain.width for chain in chains if not chain.is_plain and 0 < chain.width <= self._widest]
        floors = _floors(logits, max(widths)) if widths else None
        tokens: list[int | None] = []
        for place, chain in enumerate(chains):
            if not finite[place]:
                tokens.append(None)
            elif chain.is_plain:
                tokens.append(int(logits[place].argmax()))
            elif floors is not None and 0 < chain.width <= self._widest:
                short = np.flatnonzero(logits[place] >= floors[place])
                tokens.append(self._among(chain, short, logits[place]))
            elif chain.grammar is not None:
                tokens.append(self._among(chain, self._all, logits[place]))
            else:
                tokens.append(self._context.sample(chain.handle, rows[place]))
        return tokens

    def _among(self, chain: SamplerChain, tokens: NDArray[np.integer[Any]], logits: Logits) -> int | None:
        """The chain's choice among some tokens; under a grammar among all that it allows, where it forbids that one."""
        if chain.grammar is None:
            return self._candidates.sample(chain.handle, tokens, logits)
        token = self._candidates.choose(chain.handle, tokens, logits)
        if not chain.grammar.is_text(token) or not len(self._allowed(chain.grammar, np.array([token]), logits)):
            allowed = self._allowed(chain.grammar, self._all, logits)
            while len(allowed):
                token = self._candidates.choose(chain.handle, allowed, logits)
                if chain.grammar.is_text(token):
                    break
                allowed = allowed[allowed != token]
            else:
                return None
        chain.accept(token)
        return token

    def _allowed(self, grammar: Grammar, tokens: NDArray[np.integer[Any]], logits: Logits) -> NDArray[np.integer[Any]]:
        tokens = grammar.without_control(tokens)
        return self._candidates.allowed(grammar.handle, tokens, logits) if len(tokens) else tokens


def _floors(logits: Logits, width: int) -> Logits:
    """Per row, a logit that at least `width` tokens reach.

    The width-th highest of the maxima of disjoint groups: as many groups have a token that high.
    """
    fold = min(_DEEPEST_FOLD, logits.shape[1] // (_ROOM * width))
    groups = logits.shape[1] // fold
    # A group is every n-th token: maxima over the middle axis are whole rows at a time, which the CPU does fast.
    maxima = logits[:, : groups * fold].reshape(len(logits), fold, groups).max(axis=1)
    highest: Logits = np.partition(maxima, groups - width, axis=1)[:, groups - width]
    return highest


def _are_finite(logits: Logits) -> NDArray[np.bool_]:
    """Whether every logit of a row is a number: one sum of it tells, for NaN and infinity survive addition."""
    with np.errstate(invalid="ignore", over="ignore"):
        finite: NDArray[np.bool_] = np.isfinite(logits.sum(axis=1))
    return finite
