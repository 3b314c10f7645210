"""A question that confirms calls: they are looked up before it takes a place in the line."""

from dataclasses import replace

from chatbot.core.agent.confirming.desk import ConfirmationDesk, Request
from chatbot.core.answering.past import Past
from chatbot.core.answering.routes import BackendRoute
from chatbot.core.question import Question
from chatbot.domain.errors import InvalidInput, StoreUnavailable
from chatbot.domain.toolservers.proposal import ConfirmationNotFound


def with_confirmed(desk: ConfirmationDesk, question: Question, past: Past, route: BackendRoute | None) -> Question:
    """The question with what it confirms; only the model that has the tools may answer it then.

    Raises:
        InvalidInput: It names no conversation, or the conversation must not leave the house and the call would.
        StoreUnavailable: The conversation cannot be read.
        ConfirmationNotFound, ConfirmationRefused, ToolUnavailable: See `ConfirmationDesk.acting`.
    """
    if past.read is None:  # what was asked could not be found again
        question = replace(question, wishes=replace(question.wishes, may_propose=False))
    if not question.confirm:
        return question
    if question.db_id is None:
        raise InvalidInput("confirm", "needs_conversation")
    if past.read is None:
        raise StoreUnavailable("it is not known what was asked in this conversation")
    if route is None or route.agent is None:
        raise ConfirmationNotFound
    request = Request(question.caller, question.request_id, question.confirm, past.read)
    acting = desk.acting(request, route.agent.offers(may_leave=not past.local_only and not past.unknown))
    return replace(question, acting=acting, wishes=replace(question.wishes, may_fall_back=False))
