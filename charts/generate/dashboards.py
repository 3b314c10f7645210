"""Grafana dashboards from the tables `board_*.py`, as JSON. Grafana's own SDK knows the format."""

import json
from typing import Final

from board_capacity import CAPACITY
from board_models import MODELS
from board_personas import PERSONAS
from board_services import SERVICES
from board_use import USE
from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from panel import Board, Panel

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH: Final = 24
_HEIGHT: Final = 8


def files() -> dict[str, str]:
    """Name -> JSON of every dashboard."""
    return {board.name: _json(board) for board in (SERVICES, MODELS, CAPACITY, USE, PERSONAS)}


def _json(board: Board) -> str:
    return json.dumps(_board(board).build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _board(board: Board) -> build.Dashboard:
    made = (
        build.Dashboard(board.title)
        .uid(f"chatbot-{board.name}")
        .description(board.text)
        .tags(["chatbot"])
        .time("now-3h", "now")
        .timezone("browser")
        .refresh("30s")
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(build.DashboardLink("ChatBot").type(model.DashboardLinkType.DASHBOARDS).tags(["chatbot"]).keep_time(True))
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name, label, query in board.variables:
        made = made.with_variable(_variable(name, label, query))
    for title, panels in board.rows:
        made = made.with_row(build.Row(title))
        for panel in panels:
            made = made.with_panel(_panel(panel, _WIDTH // len(panels)))
    return made


def _variable(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .query({"query": query, "refId": name})
        .datasource(SOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(text="All", value="$__all", selected=True))
    )


def _panel(panel: Panel, width: int) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.text)
        .unit(panel.unit)
        .datasource(SOURCE)
        .span(width)
        .height(_HEIGHT)
        .fill_opacity(10)
        .show_points(common.VisibilityMode.NEVER)
        .legend(build_common.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))
        .tooltip(build_common.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )
    if panel.unit in ("percentunit", "short", "s", "bytes", "currencyUSD"):
        made = made.min(0)
    for number, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number)).range()
        made = made.with_target(query.datasource(SOURCE))
    return made
