"""`GET /docs`: the OpenAPI document as a page. Its script and style come from a package, not from a public CDN.

A cluster without a way out shows it too, and no third party learns who reads it.
"""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

from chatbot.domain.errors import NotFound

router = APIRouter(include_in_schema=False)
# Swagger UI on a phone: its tables of parameters, answers and headers become lists. No operation has links.
_STYLE = """<style>
.swagger-ui .response-col_links { display: none }
.swagger-ui .info { margin: 32px 0 }
@media (max-width: 640px) {
  .swagger-ui .wrapper { padding: 0 12px }
  .swagger-ui .opblock-tag { flex-wrap: wrap }
  .swagger-ui .opblock-tag small { flex-basis: 100%; order: 3; padding: 4px 0 }
  .swagger-ui .opblock-body :is(table, tbody, tr, td) {
    display: block; width: auto; min-width: 0; max-width: 100%; overflow-wrap: anywhere
  }
  .swagger-ui .opblock-body thead { display: none }
  .swagger-ui .opblock-body .parameters-col_name { padding-bottom: 0 }
  .swagger-ui .opblock-body :is(input, select, textarea) { max-width: 100% }
}
</style>"""
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Swagger UI over our own OpenAPI document."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/swagger-ui.css",
        swagger_favicon_url=f"{root}/docs/favicon.png",
    )
    return HTMLResponse(bytes(page.body).decode().replace("</head>", f"{_STYLE}\n    </head>"))


@router.get("/docs/{name}")
async def file(name: str) -> FileResponse:
    """One of the page's own files."""
    if name not in _FILES:
        raise NotFound
    return FileResponse(_folder() / name, media_type=_FILES[name], headers={"Cache-Control": "max-age=86400"})


def _folder() -> Path:
    """Where the package keeps Swagger UI; found without importing its code."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package fastapi-offline is not installed")
    return Path(spec.origin).parent / "static"
