"""Whether a GGUF is a model that chats or one that makes vectors, as far as its header tells.

Sources: `<architecture>.pooling_type` in the GGUF specification of the ggml repository (docs/gguf.md), its numbers in
llama.h (`llama_pooling_type`), and the encoders among the architectures of llama.cpp (src/llama-arch.cpp).
"""

from typing import Literal

from chatbot_operator.download.faults import Corrupt, Reason
from chatbot_operator.download.gguf_header import GgufHeader

Kind = Literal["Chat", "Embedding"]

_VECTOR_POOLINGS = frozenset({1, 2, 3})  # mean, cls, last
_RERANKING = 4
_ENCODERS = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
    }
)
"""Architectures that read whole texts and never write any."""


def require_kind(header: GgufHeader, kind: Kind) -> None:
    """Refuse a file that is surely not of a kind; where the header leaves it open, the engine finds out.

    Raises:
        Corrupt: It is of the other kind, or neither.
    """
    if header.pooling == _RERANKING:
        raise _wrong("The file is a reranking model, which neither chats nor makes vectors")
    makes_vectors = header.pooling in _VECTOR_POOLINGS or header.architecture in _ENCODERS
    if kind == "Chat" and makes_vectors:
        raise _wrong("The file is an embedding model, and spec.kind is Chat")
    if kind == "Embedding" and header.has_chat_template and not makes_vectors:
        raise _wrong(
            "The file is a chat model and does not say how its rows become one vector, and spec.kind is Embedding; "
            "an embedding model has the key pooling_type, which a current llama.cpp writes when it converts one"
        )


def _wrong(what: str) -> Corrupt:
    return Corrupt(Reason.WRONG_KIND, f"{what}.")
