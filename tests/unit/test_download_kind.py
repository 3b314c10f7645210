"""A file that is surely not what its Model is for is refused; where its header leaves it open, it passes."""

from pathlib import Path

import pytest
from chatbot_operator.download.faults import Corrupt, Reason
from chatbot_operator.download.gguf_header import GgufHeader, check
from chatbot_operator.download.kind import Kind, require_kind
from parts.toy_gguf import make_toy

CHAT = GgufHeader(3, "llama", 1, has_chat_template=True)
BASE = GgufHeader(3, "llama", 1)
BERT = GgufHeader(3, "bert", 1)
GEMMA_EMBEDDING = GgufHeader(3, "gemma-embedding", 1, has_chat_template=True)
QWEN_EMBEDDING = GgufHeader(3, "qwen3", 1, pooling=3, has_chat_template=True)
RERANKER = GgufHeader(3, "qwen3", 1, pooling=4, has_chat_template=True)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (CHAT, "Chat"),
        (BASE, "Chat"),
        (BASE, "Embedding"),  # an old conversion of one; the engine knows some families by their names
        (BERT, "Embedding"),
        (GEMMA_EMBEDDING, "Embedding"),
        (QWEN_EMBEDDING, "Embedding"),
    ],
)
def test_a_file_passes_where_it_may_be_of_the_kind(header: GgufHeader, kind: Kind) -> None:
    require_kind(header, kind)


@pytest.mark.parametrize(
    ("header", "kind", "said"),
    [
        (BERT, "Chat", "an embedding model"),
        (GEMMA_EMBEDDING, "Chat", "an embedding model"),
        (QWEN_EMBEDDING, "Chat", "an embedding model"),
        (CHAT, "Embedding", "a chat model"),
        (RERANKER, "Chat", "a reranking model"),
        (RERANKER, "Embedding", "a reranking model"),
    ],
)
def test_a_file_of_another_kind_is_refused_for_good(header: GgufHeader, kind: Kind, said: str) -> None:
    with pytest.raises(Corrupt, match=said) as refusal:
        require_kind(header, kind)

    assert (refusal.value.reason, refusal.value.exit_status) == (Reason.WRONG_KIND, 65)


@pytest.mark.parametrize(("pooling", "kind"), [(1, "Chat"), (3, "Chat"), (4, "Embedding")])
def test_what_a_file_says_of_itself_is_read(pooling: int, kind: Kind, tmp_path: Path) -> None:
    header = check(make_toy(tmp_path / "toy.gguf", pooling=pooling))

    assert header.pooling == pooling
    with pytest.raises(Corrupt):
        require_kind(header, kind)
