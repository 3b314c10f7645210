"""Faults that the real node is given, and what is said of each: docs/faults.md is written here."""

import os
from pathlib import Path

import pytest
from parts.kube_fault import page, suffer
from parts.kube_faults import FAULTS
from parts.kube_site import Site
from parts.toy_gguf import make_toy

PAGE = Path(__file__).parents[2] / "docs/faults.md"
COMMAND = "CHATBOT_TEST_SCALE=full pytest tests/cluster/test_real_node.py tests/cluster/test_real_node_told.py"
WORDS = os.environ.get("CHATBOT_TEST_FAULTS", "").split() or [""]
"""Of the titles of the faults that are injected; none: all of them."""
pytestmark = pytest.mark.timeout(900, func_only=True)


@pytest.mark.scale
@pytest.mark.timeout(3600, func_only=True)
def test_faults_are_told_with_a_remedy_while_the_last_good_model_answers(
    site: Site, tmp_path: Path, scale, figures
) -> None:
    site.upgrade(
        office={"replicas": 2, "gpu": {"spare": True}}, character={"enabled": False}, notFound={"enabled": False}
    )
    site.until_ready(site.change(site.offer(make_toy(tmp_path / "good.gguf", seed=1)), strategy="RollingUpdate"))

    rows, missed = [], []
    faults = [fault for fault in FAULTS if any(word in fault.title for word in WORDS)][: scale(2, len(FAULTS))]
    for fault in faults:
        try:
            rows.append(suffer(site, fault, tmp_path))
        except AssertionError as failure:  # the others are worth knowing, too
            missed.append(f"{fault.title}: {failure}")

    figures(faults=len(rows), slowest_s=max(row.seconds for row in rows), failed=sum(row.failed for row in rows))
    if scale(0, 1):
        PAGE.write_text(page(FAULTS, rows, PAGE.read_text(), COMMAND))
    assert missed == []
    assert [(row.fault.title, row.failed) for row in rows if row.failed] == []
