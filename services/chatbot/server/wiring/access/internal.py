"""Parts -> the app of the internal port: pages of the process, and administrators beside them."""

from starlette.types import ASGIApp

from chatbot.api.admin.beside import with_admin
from chatbot.api.operations import internal_app
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.access.admin import open_admin
from chatbot.server.wiring.shared import Shared


def open_internal(settings: Settings, shared: Shared) -> ASGIApp:
    """What the process says of itself on the internal port.

    Raises:
        ValueError: As `open_admin`.
    """
    pages = internal_app(
        shared.meters.render,
        shared.engine.host.status,
        lambda: shared.tenants.status,
        shared.embedding.status if shared.embedding else None,
        lambda: shared.curated.status,
    )
    return with_admin(pages, open_admin(settings, shared.keys, shared.tenants, shared.audit))
