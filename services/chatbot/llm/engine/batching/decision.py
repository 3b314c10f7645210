"""What is asked in front of an answer, in the answer's own sequence: to call tools, or to call nothing.

The question's last row and the decision's last row are rows of one step: the first chooses the answer's first token,
the second decides. Where nothing is called, the decision is cut away and the answer goes on behind that token: deciding
costs no step, and no cell of it stays in front of the answer.
"""

from chatbot.llm.engine.batching.tokens import Tokens
from chatbot.llm.engine.sampling.chain import SamplerChain


class Decision:
    """A decision that is being made.

    Attributes:
        ids: Its beginning, behind the prompt.
        chain: Chooses what follows; held to a grammar.
        most_tokens: After so many it is cut.
        first: Token that the answer begins with where nothing is called; None until it is known.
    """

    def __init__(self, ids: Tokens, chain: SamplerChain, most_tokens: int, nothing: str) -> None:
        """Args: `nothing` is what is written to call nothing; what calls never begins with its first character."""
        self.ids = ids
        self.chain = chain
        self.most_tokens = most_tokens
        self.first: int | None = None
        self._nothing = nothing[:1].encode()
        self._begun = b""

    @property
    def is_made(self) -> bool:
        """Whether it is known what it comes to."""
        return bool(self._begun)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is called: known with the first character that is no space."""
        return self._begun == self._nothing

    def write(self, piece: bytes) -> None:
        """Take a token's bytes."""
        if not self._begun:
            self._begun = piece.lstrip()[:1]
