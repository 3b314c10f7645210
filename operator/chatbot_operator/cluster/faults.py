"""What can go wrong between the operator and the API server.

ApiFault            the API server refused, with its status and message
├── Missing         404: there is no such object
├── Conflict        409: somebody else was faster, or it exists already
└── Forbidden       403: no right, or a quota or policy says no
Unreachable         no answer in time
"""

import re


class ApiFault(Exception):
    """The API server refused a call.

    Args:
        status: HTTP status.
        reason: Machine-readable reason of the answer, `AlreadyExists` for one.
        message: What the API server says.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Missing(ApiFault):
    """There is no such object."""


class Conflict(ApiFault):
    """Somebody else was faster, or it exists already."""


class Forbidden(ApiFault):
    """No right to do it, or a quota or policy says no."""

    @property
    def is_missing_right(self) -> bool:
        """Whether the authorizer said no, not a quota or an admission policy.

        Its words: k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go, `forbiddenMessage`.
        """
        return re.search(r'User ".*" cannot \S+ (resource|path)', self.message) is not None


class Unreachable(Exception):
    """The API server did not answer in time; whether it carried the call out is not known."""


_BY_STATUS = {403: Forbidden, 404: Missing, 409: Conflict}


def refusal(status: int, reason: str, message: str) -> ApiFault:
    """The fault for an answer."""
    return _BY_STATUS.get(status, ApiFault)(status, reason, message)
