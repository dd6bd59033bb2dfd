"""The architecture and the glossary name every law, state, outcome and stored field; the tests and make targets that a
page names exist."""

import re
from pathlib import Path
from typing import get_args

import pytest

from afterthought.domain.jobs.attempt import Attempt, AttemptState
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.outcome import Outcome
from afterthought.domain.wire.response import _WIRE_STATES
from tests.laws.laws import LAWS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@by_page
def test_named_tests_exist(page: Path) -> None:
    files = list((ROOT / "tests").rglob("test_*.py"))
    definition = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
    names = {file.stem for file in files} | {name for file in files for name in definition.findall(file.read_text())}
    assert set(re.findall(r"\btest_\w+", page.read_text())) - names == set()


@by_page
def test_named_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text(), re.MULTILINE)) - targets == set()


def test_every_law_is_listed() -> None:
    assert [law.__name__ for law in LAWS if f"`{law.__name__}`" not in ARCHITECTURE] == []


def test_every_state_is_listed() -> None:
    for state in get_args(AttemptState):
        assert f"| `{state}` | `{_WIRE_STATES[state]}` |" in ARCHITECTURE
        if state != _WIRE_STATES[state]:
            assert f"| attempt state `{_WIRE_STATES[state]}` | `{state}` |" in GLOSSARY


def test_every_outcome_is_listed() -> None:
    assert [each.__name__ for each in get_args(Outcome) if f"| `{each.__name__}` |" not in ARCHITECTURE] == []


def test_every_stored_field_is_listed() -> None:
    fields = (Job.model_fields.keys() | Attempt.model_fields.keys()) - {"id"}
    assert [field for field in sorted(fields) if f"`{field}`" not in ARCHITECTURE] == []
