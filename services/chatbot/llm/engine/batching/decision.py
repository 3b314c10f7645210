"""What is asked in front of an answer, in the answer's own sequence: to call tools, or to call nothing.

The question's last row and the decision's last row are rows of one step: the first chooses the answer's first token,
the second decides. Where nothing is called, the decision is cut away and the answer goes on behind that token: deciding
costs no step, and no cell of it stays in front of the answer.

Of models that begin a call with a token of its own nothing has to be asked: the question's last row tells whether that
token is the likeliest one. Some of them may leave it out: then the likeliest tokens are followed for as long as the
grammar takes them, and once they have come far enough to be nothing else they are a call. Nothing is held to the
grammar before, so an answer in JSON stays one.
"""

from dataclasses import dataclass

from chatbot.llm.engine.batching.tokens import Tokens
from chatbot.llm.engine.sampling.chain import SamplerChain


@dataclass(frozen=True, slots=True)
class Trigger:
    """The token that calls begin with.

    Attributes:
        token: Its id.
        chain: Chooses whether it comes; held to nothing.
        settled_by: Text of a call that makes it one without the token; b"" where nothing does.
    """

    token: int
    chain: SamplerChain
    settled_by: bytes = b""


class Decision:
    """A decision that is being made.

    Attributes:
        ids: Its beginning, behind the prompt.
        most_tokens: After so many it is cut.
        first: Token that the answer begins with where nothing is called; None until it is known.
        waits: Whether its next token tells what it comes to.
        written: What a call began with before it was known to be one.
    """

    def __init__(
        self, ids: Tokens, chain: SamplerChain, most_tokens: int, nothing: str, trigger: Trigger | None = None
    ) -> None:
        """Begin one.

        Args:
            ids: Its beginning, behind the prompt.
            chain: Chooses what follows; held to a grammar.
            most_tokens: After so many it is cut.
            nothing: What is written to call nothing; what calls never begins with its first character.
            trigger: Tells instead what calls: every other token calls nothing.
        """
        self.ids = ids
        self.most_tokens = most_tokens
        self.first: int | None = None
        self.waits = trigger is not None
        self.written = b""
        self._chain = chain
        self._trigger = trigger
        self._nothing = nothing[:1].encode()
        self._begun = b""
        self._is_declined = False

    @property
    def chain(self) -> SamplerChain:
        """Chooses the next token."""
        return self._trigger.chain if self.waits and self._trigger is not None else self._chain

    @property
    def is_made(self) -> bool:
        """Whether it is known what it comes to."""
        return bool(self._begun)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is called: known with the trigger, or the first character that is no space."""
        return self._is_declined or (self._trigger is None and self._begun == self._nothing)

    def tell(self, token: int, piece: bytes) -> bool:
        """Take a token that may tell, and its bytes; whether it is a part of a call, as far as is known."""
        trigger, grammar = self._trigger, self._chain.grammar
        if trigger is None:
            return False
        if token == trigger.token and not self.written:
            self.waits = False
            return True
        if not trigger.settled_by or grammar is None or not grammar.takes(token):
            self.waits, self._is_declined = False, True
            return False
        self._chain.accept(token)
        self.written += piece
        self.waits = trigger.settled_by not in self.written
        return True

    def write(self, piece: bytes) -> None:
        """Take a token's bytes."""
        if not self._begun:
            self._begun = piece.lstrip()[:1]

    def free(self) -> None:
        """Free the chains; a second call does nothing."""
        self._chain.free()
        if self._trigger is not None:
            self._trigger.chain.free()
