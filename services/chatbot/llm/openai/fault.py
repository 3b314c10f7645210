"""Every way in which an OpenAI-compatible API fails, as one of few kinds. Types and codes decide, never texts.

Messages are safe for logs and clients: they hold no key, no text of a user, and nothing that the server sent.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from time import time

import httpx2
import openai

MAX_PAUSE_SECONDS = 60.0  # a server cannot switch itself off for longer than this
_RETRYABLE_STATUSES = frozenset({408, 409, 500, 502, 503, 504})
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})


class BrokenAnswer(Exception):
    """The server answered 200, and then not what the protocol says: HTML, cut JSON, no end, not UTF-8."""


class AnswerTooLarge(Exception):
    """The server sent more than any answer has."""


class FaultKind(Enum):
    """What follows from a fault."""

    TRANSIENT = auto()
    """Worth one more try, if no text came yet; counts against the backend."""
    FATAL = auto()
    """The same call would fail again; counts against the backend."""
    KEY_REFUSED = auto()
    """Nothing passes until the key changes."""
    OVERLOADED = auto()
    """The server asks for a pause."""
    TOO_LONG = auto()
    """The prompt does not fit the remote model."""
    REFUSED_REQUEST = auto()
    """The server does not take this request; says nothing about the others."""
    TIMED_OUT = auto()
    """No answer in time; counts against the backend."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One classified fault.

    Attributes:
        message: For the log and the client.
        pause_seconds: What the server asked for, 0 where it did not; at most `MAX_PAUSE_SECONDS`.
        parameter: The parameter that the server names as not supported.
    """

    kind: FaultKind
    message: str
    pause_seconds: float = 0.0
    parameter: str | None = None


def fault_of(error: Exception) -> Fault | None:
    """Classify an error of a call; None where it is none of the backend's."""
    if isinstance(error, openai.APIStatusError):
        return _of_status(error)
    if isinstance(error, openai.APITimeoutError):
        if isinstance(error.__cause__, httpx2.ConnectTimeout):
            return Fault(FaultKind.TRANSIENT, "the OpenAI-compatible backend cannot be reached")
        return Fault(FaultKind.TIMED_OUT, "the OpenAI-compatible backend did not answer in time")
    if isinstance(error, TimeoutError):
        return Fault(FaultKind.TIMED_OUT, "the OpenAI-compatible backend did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        return _of_connection(error)
    if isinstance(error, AnswerTooLarge):
        return Fault(FaultKind.FATAL, "the OpenAI-compatible backend sent an answer beyond every bound")
    if isinstance(error, (openai.APIError, httpx2.RequestError, BrokenAnswer, ValueError, RecursionError)):
        return Fault(FaultKind.TRANSIENT, "the OpenAI-compatible backend sent a broken answer")
    return None


def _of_connection(error: Exception) -> Fault:
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        remedy = "give its certificate authority in the file that SSL_CERT_FILE names"
        return Fault(FaultKind.FATAL, f"the OpenAI-compatible backend's certificate is not trusted; {remedy}")
    if any(isinstance(cause, httpx2.ProxyError) for cause in causes):
        return Fault(FaultKind.TRANSIENT, "the proxy (HTTPS_PROXY) does not lead to the OpenAI-compatible backend")
    return Fault(FaultKind.TRANSIENT, "the OpenAI-compatible backend cannot be reached or hung up")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_status(error: openai.APIStatusError) -> Fault:
    status = error.status_code
    if status in (401, 403):
        return Fault(FaultKind.KEY_REFUSED, f"the OpenAI-compatible backend refused the key ({status})")
    if status == 429 or (status == 503 and "retry-after" in error.response.headers):
        pause_seconds = _retry_after_seconds(error.response.headers.get("retry-after", ""))
        return Fault(FaultKind.OVERLOADED, f"the OpenAI-compatible backend is overloaded ({status})", pause_seconds)
    if status == 413 or error.code in _TOO_LONG_CODES or error.type in _TOO_LONG_CODES:
        return Fault(FaultKind.TOO_LONG, "the prompt does not fit the OpenAI-compatible backend's model")
    if status in (400, 422):
        message = f"the OpenAI-compatible backend does not take this request ({status})"
        return Fault(FaultKind.REFUSED_REQUEST, message, parameter=error.param)
    if status == 404:
        remedy = "check CHATBOT_OPENAI_MODEL and CHATBOT_OPENAI_BASE_URL"
        return Fault(FaultKind.FATAL, f"the OpenAI-compatible backend knows no such model or address (404); {remedy}")
    kind = FaultKind.TRANSIENT if status in _RETRYABLE_STATUSES else FaultKind.FATAL
    return Fault(kind, f"the OpenAI-compatible backend failed ({status})")


def _retry_after_seconds(header: str) -> float:
    """Seconds of a `Retry-After` header (RFC 9110, 10.2.3: whole seconds or a date); 0 where it is neither."""
    try:
        seconds = float(header) if header.strip().isdigit() else parsedate_to_datetime(header).timestamp() - time()
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(MAX_PAUSE_SECONDS, max(0.0, seconds))
