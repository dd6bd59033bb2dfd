"""The pages name every alarm, metric and log message, and their links lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from afterthought.domain.jobs.step import StepOutcome
from afterthought.services.notify.deliver import Delivery
from afterthought.services.run.handle_event import HandledEvent
from afterthought.services.run.receive_event import Outcome

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for pattern in ("*.md", "docs/*.md", "local/*.md", "shared/**/*.md") for path in ROOT.glob(pattern))
CODE = sorted([*(ROOT / "functions").glob("*/app.py"), *(ROOT / "shared" / "afterthought" / "adapters").glob("*.py")])
MODULES = [f"/{path.relative_to(ROOT)}" for path in ROOT.glob("[!.]*/**/*.py")]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
TEMPLATE = (ROOT / "template.yaml").read_text()

ALARMS = re.findall(r"^  (\w+):\n    Type: AWS::CloudWatch::Alarm", TEMPLATE, re.MULTILINE)
PARAMETERS = re.findall(r"^  (\w+):\n", TEMPLATE.partition("\nConditions:")[0], re.MULTILINE)

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def first_cells(page: str) -> set[str]:
    """The names in the first cell of each table row."""
    rows = re.findall(r"^\|([^|]*)\|", page, re.MULTILINE)
    return {name.strip(" `") for row in rows for name in row.split(",")}


def metrics() -> set[str]:
    names: set[str] = set()
    for path in CODE:
        source = path.read_text()
        names |= set(re.findall(r'\bcount\("(\w+)"', source))
        names |= set(re.findall(r'"(\w+)"\]?\s*[:=] \(MetricUnit', source))
    return names | {f"Webhooks{outcome.capitalize()}" for outcome in get_args(get_type_hints(Delivery)["outcome"])}


def log_messages() -> Iterator[str]:
    for path in CODE:
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            if node.func.attr in {"info", "warning", "error", "exception"}:
                message = node.args[0]
                message = constants.get(message.id, message) if isinstance(message, ast.Name) else message
                assert isinstance(message, ast.Constant), f"{path}:{node.lineno}"
                yield str(message.value)


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_alarms_have_a_row() -> None:
    assert len(ALARMS) >= 10
    assert set(ALARMS) - first_cells(OPERATIONS) == set()


def test_metrics_have_a_row() -> None:
    assert {"JobsFinished", "CostUsd", "ProviderPaused", "WebhooksFailed"} <= metrics()
    assert metrics() - first_cells(OPERATIONS) == set()


def test_log_messages_are_listed() -> None:
    messages = [message for message in log_messages() if "%" not in message]
    assert {"job submitted", "job step", "sweep finished"} <= set(messages)
    assert [message for message in messages if f"`{message}`" not in OPERATIONS] == []


def test_outcomes_are_listed() -> None:
    events = (*get_args(Outcome), *get_args(get_type_hints(HandledEvent)["outcome"]))
    assert [name for name in (*get_args(StepOutcome), *events) if f"`{name}`" not in OPERATIONS] == []


def test_parameters_have_a_row() -> None:
    assert "AlarmTopicArn" in PARAMETERS
    assert set(PARAMETERS) - first_cells((ROOT / "docs" / "deploy.md").read_text()) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in LINK.findall(CODE_BLOCK.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_modules_exist(page: Path) -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", page.read_text()))
    assert [name for name in sorted(named) if not any(module.endswith(f"/{name}") for module in MODULES)] == []
