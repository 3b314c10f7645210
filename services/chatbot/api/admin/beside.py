"""Administration beside the pages of the internal port."""

from starlette.types import ASGIApp, Receive, Scope, Send


def with_admin(pages: ASGIApp, admin: ASGIApp | None) -> ASGIApp:
    """The app of the internal port: its pages, and administration beside them where it is on."""
    if admin is None:
        return pages

    async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        await (admin if path == "/admin" or path.startswith("/admin/") else pages)(scope, receive, send)

    return chosen
