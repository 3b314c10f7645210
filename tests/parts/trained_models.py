"""Small trained models of PyPI, and what one of them computes, written down once more in numpy."""

import re
from math import erf
from pathlib import Path

import gguf
import numpy as np

from parts.needs import fetched

_EPSILON = 1e-12


def trained(name: str) -> Path:
    """The file of one of .ci/trained_models.py's, fetched if it is not there; else the test is left out."""
    return fetched("trained_models.py", name)


class Bert:
    """A BERT with mean pooling, one text at a time (Devlin et al. 2018, arXiv 1810.04805; WordPiece without casing).

    Args:
        path: Its file, F32.
    """

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self._weights = {one.name: np.asarray(one.data, np.float64).reshape(one.shape[::-1]) for one in reader.tensors}
        self._words = {word: number for number, word in enumerate(reader.fields["tokenizer.ggml.tokens"].contents())}
        self._layers = int(reader.fields["bert.block_count"].contents())
        self._heads = int(reader.fields["bert.attention.head_count"].contents())

    def vector(self, text: str) -> np.ndarray:
        """The text's vector, of length 1."""
        ids = [self._words["[CLS]"], *self._pieces(text), self._words["[SEP]"]]
        state = self._weights["token_embd.weight"][ids] + self._weights["position_embd.weight"][: len(ids)]
        state = self._normed(state + self._weights["token_types.weight"][0], "token_embd_norm")
        for layer in range(self._layers):
            state = self._block(state, f"blk.{layer}.")
        mean = state.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean))

    def _block(self, state: np.ndarray, name: str) -> np.ndarray:
        query, key, value = (self._heads_of(self._linear(state, f"{name}attn_{one}")) for one in "qkv")
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        seen = (shares @ value).transpose(1, 0, 2).reshape(state.shape)
        state = self._normed(state + self._linear(seen, f"{name}attn_output"), f"{name}attn_output_norm")
        wide = self._linear(state, f"{name}ffn_up")
        wide *= 0.5 * (1 + np.vectorize(erf)(wide / np.sqrt(2)))
        return self._normed(state + self._linear(wide, f"{name}ffn_down"), f"{name}layer_output_norm")

    def _heads_of(self, state: np.ndarray) -> np.ndarray:
        return state.reshape(len(state), self._heads, -1).transpose(1, 0, 2)

    def _linear(self, state: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(state @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _normed(self, state: np.ndarray, name: str) -> np.ndarray:
        centred = state - state.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(state.var(axis=-1, keepdims=True) + _EPSILON)
        return np.asarray(scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])

    def _pieces(self, text: str) -> list[int]:
        """Ids of a text of ASCII: for each word the longest beginning that is known, then what goes on with it."""
        found: list[int] = []
        for word in re.findall(r"\w+|[^\w\s]", text.lower()):
            place = 0
            while place < len(word):
                ends = range(len(word), place, -1)
                names = ((end, ("" if place else "\u2581") + word[place:end]) for end in ends)
                place, name = next((end, name) for end, name in names if name in self._words)
                found.append(self._words[name])
        return found
