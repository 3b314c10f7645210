"""Dashboard: whether characters stay themselves, and what that takes."""

from typing import Final

from panel import SCOPE, SERVICE, SERVICE_VARIABLES, Board, Panel, quantiles, rate

_CHECKS: Final = "chatbot_persona_checks_total"
_REPAIRS: Final = "chatbot_persona_repairs_total"
_ANSWERS: Final = rate(_CHECKS, 'check="markers"')
"""Every answer with rules is looked through for markers."""

_RETRIED: Final = rate(_REPAIRS, 'step="retry"')
_KEPT: Final = rate(_CHECKS, 'outcome="ok"', "service, check")
_VIOLATED: Final = rate(_CHECKS, 'outcome="violated"', "service, check")
_CHECKED: Final = f"sum by (service, check) (rate({_CHECKS}{{{SCOPE}}}[$__rate_interval]))"

PERSONAS: Final = Board(
    "personas",
    "ChatBot / Personas",
    "Whether answers of characters keep the rules of their style, and what it takes to bring them there.",
    SERVICE_VARIABLES,
    (
        (
            "Rules",
            (
                Panel("Answers with rules", "reqps", "Answers of characters that have rules.", ((_ANSWERS, SERVICE),)),
                Panel(
                    "Rules that the model kept",
                    "percentunit",
                    "Share of answers that kept a rule as the model made them, by rule.",
                    ((f"{_KEPT} / clamp_min({_CHECKED}, 1e-9)", "{{service}} {{check}}"),),
                ),
                Panel(
                    "Rules that an answer broke",
                    "percentunit",
                    "Share of answers that broke a rule as they were shown, by rule: nothing brought them to it.",
                    ((f"{_VIOLATED} / clamp_min({_CHECKED}, 1e-9)", "{{service}} {{check}}"),),
                ),
                Panel(
                    "Rules that were repaired",
                    "reqps",
                    "Answers that broke a rule as the model made them, and kept it as they were shown.",
                    ((rate(_CHECKS, 'outcome="repaired"', "service, check"), "{{service}} {{check}}"),),
                ),
            ),
        ),
        (
            "What it takes",
            (
                Panel(
                    "Repairs",
                    "reqps",
                    "edit: without the model. retry: it was asked once more. accept: the answer breaks a rule still.",
                    ((rate(_REPAIRS, "", "service, step"), "{{service}} {{step}}"),),
                ),
                Panel(
                    "Answers made once more",
                    "percentunit",
                    "Share of answers that took a second generation.",
                    ((f"{_RETRIED} / clamp_min({_ANSWERS}, 1e-9)", SERVICE),),
                ),
                Panel(
                    "Extra tokens",
                    "short",
                    "Tokens a second of answers that were made again and that nobody saw.",
                    ((rate("chatbot_persona_extra_tokens_total"), SERVICE),),
                ),
                Panel(
                    "First text, later",
                    "s",
                    "By how much a stream's first text waits for the end of its sentence.",
                    quantiles("chatbot_persona_held_seconds"),
                ),
            ),
        ),
    ),
)
