"""Settings -> the app of administrators, where it is on."""

import time

from starlette.types import ASGIApp

from chatbot.core.accounts.desk import KeyDesk
from chatbot.core.accounts.issue import DAY_SECONDS, Issuer, Lives
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.audit.audit import Audit
from chatbot.domain.tenants.policy import Tenants
from chatbot.server.settings.whole import Settings


def open_admin(settings: Settings, keys: KeyCheck, tenants: Tenants, audit: Audit) -> ASGIApp | None:
    """What serves `/admin/keys`; None where it is off. It works on the store that the key check has open.

    Raises:
        ValueError: It is on, and there is no pepper.
    """
    auth = settings.auth
    if not auth.admin_api:
        return None
    if keys.stored is None or keys.peppers is None:
        raise ValueError("CHATBOT_AUTH_ADMIN_API: needs CHATBOT_AUTH_PEPPER_FILE, which keys are made with")
    from chatbot.api.admin.app import AdminApp
    from chatbot.api.admin.routes import AdminParts

    lives = Lives(auth.key_days * DAY_SECONDS, auth.max_key_days * DAY_SECONDS, tenants)
    store = keys.stored.store
    desk = KeyDesk(store, Issuer(store, keys.peppers), lives, now=time.time, changed=keys.stored.look)
    return AdminApp(AdminParts(desk, keys, _read_signer, audit=audit))


def _read_signer(text: str) -> str:
    from chatbot.adapters.keys.user_tokens import parse_signer  # costs 0.1 CPU s, for keys that want it

    return parse_signer(text)
