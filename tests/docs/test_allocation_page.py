"""The page about the allocation names every kind, default rule and method, and its examples are settings that can be read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from usage_etl.allocation.rules import DEFAULT_RULES
from usage_etl.config.finance import AllocationSettings, RuleStep
from usage_etl.schemas.chargeback import CHARGE_KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "allocation.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
METHODS = get_args(RuleStep.model_fields["method"].annotation)


def test_every_kind_has_its_row() -> None:
    table = PAGE[PAGE.index("## What a charge is for") : PAGE.index("## Rules that come")]
    assert set(re.findall(r"`(\w+)`(?=[^|]*\|)", table)) >= set(CHARGE_KINDS)


def test_every_default_rule_has_its_row() -> None:
    named = re.findall(r"^\| `(default-[\w-]+)`", PAGE, flags=re.MULTILINE)
    assert sorted(named) == sorted(rule.name for rule in DEFAULT_RULES)


def test_every_method_has_a_heading_and_an_example() -> None:
    found = {step.method for text in EXAMPLES for rule in AllocationSettings(**yaml.safe_load(text)).rules for step in rule.steps}
    assert found == set(METHODS)
    assert all(f"### {method}\n" in PAGE for method in METHODS)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_can_be_read(text: str) -> None:
    assert AllocationSettings(**yaml.safe_load(text)).rules
