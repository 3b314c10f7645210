"""Events about a Model, as `kubectl describe` shows them."""

import hashlib
from datetime import datetime
from typing import Any

from chatbot_operator import names
from chatbot_operator.actions import EventNote
from chatbot_operator.resources import Model, format_time

_LONGEST_MESSAGE = 1024


def event(model: Model, note: EventNote, now: datetime) -> dict[str, Any]:
    """A core/v1 Event. The same note in the same second has the same name, so posting it twice is safe."""
    moment = format_time(now)
    identity = "\0".join((model.uid, note.reason, note.message, moment))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{model.name}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
            "namespace": model.namespace,
        },
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": model.namespace,
            "name": model.name,
            "uid": model.uid,
            "resourceVersion": model.resource_version,
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:_LONGEST_MESSAGE],
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": names.FIELD_MANAGER,
    }
