"""Writes what is derived from code: metrics, settings, OpenAPI, tables of the README. `--check` compares instead."""

import argparse
import ast
import inspect
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from chatbot.api import errors, texts
from chatbot.server import metrics
from chatbot.server.settings.whole import Settings
from chatbot_operator import metrics as operator_metrics
from chatbot_operator import settings as operator_settings
from chatbot_operator.characters import reasons as character_reasons
from chatbot_operator.compiled import reasons as compiled_reasons
from chatbot_operator.plan import condition_list
from chatbot_operator.plan import texts as condition_texts
from chatbot_operator.reasons import EventReason, Reason
from chatbot_operator.tenants import reasons as tenant_reasons
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[1]
MADE_FROM = "<!-- made by `make generate` from {source}; edit that file -->\n"


def metrics_page() -> str:
    """docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        MADE_FROM.format(source="services/chatbot/server/metrics.py and operator/chatbot_operator/metrics.py"),
        "Scraped from `:9090/metrics` of services and operator. Labels come from closed sets; no text and no id of a",
        "user is ever in one. A histogram has the suffixes `_bucket`, `_sum` and `_count`.",
        "",
        "## Services",
        "",
        "Every one has the label `service` (`office`, `character`) besides.",
        "",
        *metric_rows((m.name, m.kind.value, m.labels, m.help) for m in metrics.METRICS),
        "",
        "## Operator",
        "",
        "`model_namespace` is the namespace of the Model; `namespace` is set by Prometheus to the operator's own.",
        "",
        *metric_rows((m.name, m.kind, m.labels, m.help) for m in operator_metrics.METRICS),
    ]
    return "\n".join(lines) + "\n"


def metric_rows(rows: Iterable[tuple[str, str, tuple[str, ...], str]]) -> Iterator[str]:
    """A table of metrics."""
    yield from ("| metric | type | labels | meaning |", "|---|---|---|---|")
    for name, kind, names, meaning in rows:
        labels = ", ".join(f"`{label}`" for label in names)
        yield f"| `{name}` | {kind} | {labels} | {meaning} |"


def settings_page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        MADE_FROM.format(source="services/chatbot/server/settings/ and operator/chatbot_operator/settings.py"),
        "Environment variables. A wrong or unknown one stops the start and says which and why; `--show-settings`",
        "prints all of them with secrets hidden. Secrets come as files (`*_FILE`).",
        "",
        "## Services",
        *setting_rows("CHATBOT", Settings),
        "",
        "## Operator",
        *setting_rows("CHATBOT_OPERATOR", operator_settings.Settings),
    ]
    return "\n".join(lines) + "\n"


def setting_rows(prefix: str, all_settings: type[BaseModel]) -> Iterator[str]:
    """A heading and a table for each section."""
    for section, field in all_settings.model_fields.items():
        model = field.annotation
        if not (inspect.isclass(model) and issubclass(model, BaseModel)):
            raise TypeError(f"{section} is not a section")
        yield from ("", f"### {section}: {first_sentence(inspect.getdoc(model) or '')}", "")
        yield from ("| variable | default | allowed | meaning |", "|---|---|---|---|")
        meanings = field_texts(model)
        for name, info in model.model_fields.items():
            variable = f"{prefix}_{section}_{name}".upper()
            yield f"| `{variable}` | {default(info)} | {allowed(info)} | {meanings.get(name, '')} |"


def conditions_page() -> str:
    """docs/conditions.md."""
    lines = [
        "# Conditions of a Model",
        "",
        MADE_FROM.format(source="operator/chatbot_operator/plan/texts.py and condition_list.py"),
        "`kubectl describe mdl/<name>` shows them; each message says what happened and what to do. A condition with a",
        "problem is `False` (`RolledBack`: `True`). Pages hang on `Available`, tickets on `Ready`.",
        "",
        "| condition | `True` means | reasons |",
        "|---|---|---|",
    ]
    for kind, text in condition_list.CONDITIONS.items():
        names = ", ".join(f"`{reason}`" for reason in Reason if reason in text.reasons)
        lines.append(f"| `{kind}` | {text.true} | {names} |")
    lines += ["", "## Reasons", "", "| reason | meaning | what to do |", "|---|---|---|"]
    for reason, text in ((reason, condition_texts.TEXTS[reason]) for reason in Reason):
        lines.append(f"| `{reason}` | {escaped(text.meaning)} | {escaped(text.remedy)} |")
    lines += ["", "## Events", "", "An Event has the reason of the condition that it tells of, or one of these:", ""]
    lines += ["| reason | meaning | what to do |", "|---|---|---|"]
    for reason, text in ((reason, condition_texts.EVENT_TEXTS[reason]) for reason in EventReason):
        lines.append(f"| `{reason}` | {escaped(text.meaning)} | {escaped(text.remedy)} |")
    lines += ["", *compiled_conditions()]
    return "\n".join(lines) + "\n"


def compiled_conditions() -> list[str]:
    """The same for Tenants and Characters, whose reasons tell themselves what to do."""
    cards = compiled_reasons.CARD_REASONS
    ready = [reason for reason in compiled_reasons.ReadyReason if reason not in cards]
    return [
        "# Conditions of a Tenant",
        "",
        "`kubectl describe tnt/<name>` shows them; made from operator/chatbot_operator/tenants/reasons.py and",
        "compiled/reasons.py.",
        "",
        "| condition | `True` means | reasons |",
        "|---|---|---|",
        f"| `Ready` | Every ready pod that mounts the policies serves this one. | {_named(ready)} |",
        f"| `LimitsConsistent` | No limit contradicts another; all hold anyway. | {_named(tenant_reasons.MEANINGS)} |",
        "",
        *_meanings(compiled_reasons.MEANINGS, ready, tenant_reasons.MEANINGS),
        "",
        "# Conditions of a Character",
        "",
        "`kubectl describe chr/<name>` shows them; reasons of `Ready` as above, and two more.",
        "",
        "| condition | `True` means | reasons |",
        "|---|---|---|",
        f"| `Ready` | Every ready pod that mounts the characters plays this one. | {_named([*ready, *cards])} |",
        f"| `Complete` | Everything that it says has an effect. | {_named(character_reasons.MEANINGS)} |",
        "",
        *_meanings(compiled_reasons.MEANINGS, cards, character_reasons.MEANINGS),
    ]


def _meanings(
    every: Mapping[compiled_reasons.ReadyReason, str],
    chosen: Iterable[compiled_reasons.ReadyReason],
    own: Mapping[Any, str],
) -> list[str]:
    meanings = {str(reason): every[reason] for reason in chosen} | {str(reason): text for reason, text in own.items()}
    rows = [f"| `{reason}` | {escaped(meaning)} |" for reason, meaning in meanings.items()]
    return ["| reason | meaning |", "|---|---|", *rows]


def _named(reasons: Iterable[str]) -> str:
    return ", ".join(f"`{reason}`" for reason in reasons)


def escaped(text: str) -> str:
    """Text as a cell of a table."""
    return text.replace("<", "&lt;").replace("|", "&#124;")


def first_sentence(text: str) -> str:
    """`Who may call. More…` -> `who may call`."""
    sentence = text.split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """The string that follows each field in the class body."""
    body = ast.parse(inspect.getsource(model)).body[0]
    if not isinstance(body, ast.ClassDef):
        return {}
    pairs = zip(body.body, body.body[1:], strict=False)
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in pairs
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def default(info: FieldInfo) -> str:
    """Default as it would be written in the environment."""
    value = info.get_default(call_default_factory=True)
    if value is None or value == "" or value == []:
        return "none"
    if isinstance(value, dict | list):
        return f"`{json.dumps(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def allowed(info: FieldInfo) -> str:
    """Bounds, choices or kind of a value."""
    choices = [choice for choice in get_args(info.annotation) if isinstance(choice, str)]
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices if choice)
    bounds = list(bound_texts(info.metadata))
    return ", ".join(bounds) or kind(info.annotation)


def bound_texts(metadata: list[Any]) -> Iterator[str]:
    """`>= 1`, `<= 65535`."""
    signs = ((Ge, "ge", "&ge;"), (Gt, "gt", "&gt;"), (Le, "le", "&le;"), (Lt, "lt", "&lt;"))
    for item in metadata:
        for bound, attribute, sign in signs:
            if isinstance(item, bound):
                yield f"{sign} {getattr(item, attribute)}"


def kind(annotation: Any) -> str:
    """Plain word for a type."""
    text = str(annotation)
    words = {"dict": "JSON object", "Path": "path", "bool": "`true`, `false`", "list": "JSON list", "str": "text"}
    return next((word for name, word in words.items() if name in text), text)


def between_marks(text: str, name: str, content: str) -> str:
    """Replace what stands between `<!-- name: begin -->` and `<!-- name: end -->`."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    return f"{head}{begin}\n{content}{end}{tail}"


def error_table() -> str:
    """Every status with its code, meaning and remedy, from the table that the API uses."""
    lines = ["| status | `code` | meaning | what to do |", "|---|---|---|---|"]
    rows = {row.code: row for row in errors.TABLE.values()}
    for row in sorted(rows.values(), key=lambda row: (row.status, row.code)):
        lines.append(f"| {row.status} | `{row.code}` | {english(f'title.{row.code}')} | {remedies(row.code)} |")
    return "\n".join(lines) + "\n"


def remedies(code: str) -> str:
    """The `detail` texts of a code, placeholders shown as *names*."""
    keys = [key for key in texts.TEXTS if key == f"detail.{code}" or key.startswith(f"detail.{code}_")]
    remedy = " ".join(re.sub(r"\{(\w+)\}", r"*\1*", english(key)) for key in keys).replace("<", "&lt;")
    return "What *detail* says." if re.fullmatch(r"[*\w: ]+", remedy) else remedy


def english(key: str) -> str:
    """The English text of a key, placeholders as they are."""
    return texts.TEXTS[key][texts.LANGUAGES.index("en")]


def openapi_pages() -> dict[Path, str]:
    """docs/openapi/*.json, as `python -m chatbot.server.openapi` writes them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "chatbot.server.openapi", folder], check=True)  # noqa: S603
        return {Path("docs/openapi", path.name): path.read_text() for path in sorted(Path(folder).iterdir())}


def pages() -> dict[Path, str]:
    """Every generated file, relative to the root, with its content."""
    readme = (ROOT / "README.md").read_text()
    return {
        Path("docs/metrics.md"): metrics_page(),
        Path("docs/settings.md"): settings_page(),
        Path("docs/conditions.md"): conditions_page(),
        Path("README.md"): between_marks(readme, "errors", error_table()),
        **openapi_pages(),
    }


def main() -> int:
    """Write the files; with `--check` only say which ones differ. 1 where one does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    made = pages()
    stale = [path for path, text in made.items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text]
    for path in stale:
        print(f"{path}: {'differs from its source: make generate' if check else 'written'}")
        if not check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(made[path])
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
