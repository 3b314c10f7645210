"""Dashboard: models, downloads, rollouts, and the operator."""

from typing import Final

from panel import OF_MODELS, Board, Panel, condition

FAILURES: Final = f"chatbot_model_download_failures_total{{{OF_MODELS}}}"
MODELS: Final = Board(
    "models",
    "ChatBot / Models",
    "Models: what their conditions say, downloads, rollouts, and the operator's own work.",
    (
        ("namespace", "Namespace", "label_values(chatbot_model_condition, model_namespace)"),
        ("model", "Model", 'label_values(chatbot_model_condition{model_namespace=~"$namespace"}, model)'),
    ),
    (
        (
            "Conditions",
            (
                Panel(
                    "Ready",
                    "short",
                    "1 while every consumer serves what the spec asks for.",
                    (
                        (
                            condition("Ready"),
                            "{{model}}",
                        ),
                    ),
                ),
                Panel(
                    "Available",
                    "short",
                    "1 while every consumer has a ready pod with some verified revision.",
                    (
                        (
                            condition("Available"),
                            "{{model}}",
                        ),
                    ),
                ),
                Panel(
                    "Conditions",
                    "short",
                    "Every condition: 1 is True, 0 is False or Unknown.",
                    (
                        (
                            condition("", "model, type"),
                            "{{model}} {{type}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Downloads",
            (
                Panel(
                    "Download",
                    "bytes",
                    "Bytes that have arrived, and the size of the file.",
                    (
                        (f"max by (model) (chatbot_model_download_bytes{{{OF_MODELS}}})", "{{model}} arrived"),
                        (f"max by (model) (chatbot_model_download_bytes_expected{{{OF_MODELS}}})", "{{model}} size"),
                    ),
                ),
                Panel(
                    "Downloads that failed",
                    "short",
                    "Downloads of the last hour that ended badly, by reason.",
                    (
                        (
                            # the first failure makes a new series, which has no increase yet
                            f"sum by (model, reason) (({FAILURES} unless {FAILURES} offset 1h) "
                            f"or increase({FAILURES}[1h]))",
                            "{{model}} {{reason}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Rollouts",
            (
                Panel(
                    "Rollouts",
                    "short",
                    "Rollouts since the operator started, by result.",
                    ((f"sum by (model, result) (chatbot_rollouts_total{{{OF_MODELS}}})", "{{model}} {{result}}"),),
                ),
                Panel(
                    "Time of a rollout",
                    "s",
                    "Mean time from a rollout's start to its end, since the operator started.",
                    (
                        (
                            f"sum by (model) (chatbot_rollout_duration_seconds_sum{{{OF_MODELS}}}) / "
                            f"sum by (model) (chatbot_rollout_duration_seconds_count{{{OF_MODELS}}})",
                            "{{model}}",
                        ),
                    ),
                ),
                Panel(
                    "Served revisions",
                    "short",
                    "Pods by the revision that they serve.",
                    (
                        (
                            'count by (service, model, revision) (chatbot_model_info{namespace=~"$namespace"})',
                            "{{service}} {{model}} {{revision}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "The operator",
            (
                Panel(
                    "Tenants and Characters",
                    "short",
                    "Tenants and Characters by whether every ready pod serves them.",
                    (
                        (
                            'sum by (tenant_namespace, ready) (chatbot_tenants{tenant_namespace=~"$namespace"})',
                            "{{tenant_namespace}} tenants, ready {{ready}}",
                        ),
                        (
                            "sum by (character_namespace, ready) "
                            '(chatbot_characters{character_namespace=~"$namespace"})',
                            "{{character_namespace}} characters, ready {{ready}}",
                        ),
                    ),
                ),
                Panel(
                    "Not ready",
                    "short",
                    "Tenants and Characters that are not Ready, by name; of a namespace at most 20.",
                    (
                        (
                            "max by (tenant_namespace, tenant) "
                            '(chatbot_tenant_not_ready{tenant_namespace=~"$namespace"})',
                            "{{tenant_namespace}} tenant {{tenant}}",
                        ),
                        (
                            "max by (character_namespace, character) "
                            '(chatbot_character_not_ready{character_namespace=~"$namespace"})',
                            "{{character_namespace}} character {{character}}",
                        ),
                    ),
                ),
                Panel(
                    "Looks at Models",
                    "ops",
                    "How often a Model was looked at, by outcome.",
                    (
                        (
                            "sum by (outcome) (rate(chatbot_reconcile_seconds_count[$__rate_interval]))",
                            "{{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Time of a look",
                    "s",
                    "Time of one look at one Model.",
                    tuple(
                        (
                            f"histogram_quantile({share}, sum by (le) "
                            "(rate(chatbot_reconcile_seconds_bucket[$__rate_interval])))",
                            f"p{share * 100:g}",
                        )
                        for share in (0.5, 0.95)
                    ),
                ),
            ),
        ),
    ),
)
