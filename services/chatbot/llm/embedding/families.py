"""What a family of embedding models wants: other words around a question than around a passage, and how it pools.

Taken wrong, nothing fails: the right passages just come later. So it stands in one place, and a change of a row raises
its recipe, which makes every vector anew (`VectorSpace`). Sources: the model cards of Qwen/Qwen3-Embedding-0.6B,
BAAI/bge-m3, nomic-ai/nomic-embed-text-v1.5 and -v2-moe, intfloat/multilingual-e5-large and google/embeddinggemma-300m
at huggingface.co, and https://platform.openai.com/docs/guides/embeddings for text-embedding-3.
"""

import re
from dataclasses import dataclass

from chatbot.domain.embedding.source import Purpose


@dataclass(frozen=True, slots=True)
class Family:
    """One row.

    Attributes:
        name: A pattern at a word of the model's name.
        question: What stands before a question.
        passage: What stands before a passage.
        pooling: Where its files do not say.
        wants_end: Whether its texts must end with the end token, also where a file does not say so.
        may_shorten: Whether the first numbers of a vector are one of their own.
        recipe: Raised with every change of the words.
    """

    name: str
    question: str = ""
    passage: str = ""
    pooling: str = ""
    wants_end: bool = False
    may_shorten: bool = False
    recipe: int = 1

    def text(self, text: str, purpose: Purpose) -> str:
        """What the model is given. A plain text is given as it came: its words are the client's matter."""
        before = {Purpose.QUESTION: self.question, Purpose.PASSAGE: self.passage, Purpose.PLAIN: ""}[purpose]
        return f"{before}{text}"


_QWEN3_TASK = "Given a web search query, retrieve relevant passages that answer the query"
FAMILIES = (
    Family(
        "qwen3-embedding",
        question=f"Instruct: {_QWEN3_TASK}\nQuery:",
        pooling="last",
        wants_end=True,
        may_shorten=True,
    ),
    Family("nomic-embed", question="search_query: ", passage="search_document: ", pooling="mean", may_shorten=True),
    Family("embeddinggemma", "task: search result | query: ", "title: none | text: ", "mean", may_shorten=True),
    Family("e5", question="query: ", passage="passage: ", pooling="mean"),
    Family("bge-m3", pooling="cls"),
    Family("text-embedding-3", may_shorten=True),
)
UNKNOWN = Family("")
"""A model of no family: texts as they are, pooled as its file says."""


def family_of(name: str) -> Family:
    """The family of a model, by its name, whatever stands between the words of it."""
    plain = "-" + re.sub(r"[^a-z0-9]+", "-", name.lower()) + "-"
    return next((family for family in FAMILIES if f"-{family.name}-" in plain), UNKNOWN)
