"""The README's code runs as shown, and the commands and files that it names exist."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import ROOT
from local.receiver import PORT
from local.tenants import ACME
from tests.e2e.conftest import Deployment

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"<!-- run by tests/e2e/test_readme.py -->\n```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.e2e
def test_readme_code_runs(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    submit, retrieve, money, models = (
        block.replace("http://127.0.0.1:8000/v1", deployment.service.base_url).replace(
            f"http://127.0.0.1:{PORT}/{ACME.name}", deployment.receiver.url(ACME.name)
        )
        for block in BLOCKS
    )
    names: dict[str, Any] = {}
    exec(submit, names)  # noqa: S102 - the test runs the README's code
    assert re.fullmatch(r"resp_[0-9a-f]{48} queued\n", capsys.readouterr().out)

    exec(retrieve, names)  # noqa: S102 - as above
    printed = capsys.readouterr().out
    assert printed.startswith("completed ")
    assert "x = 15" in printed
    shown_cost = re.search(r'\["total_usd"\]\)  # ([0-9.]+):', retrieve)
    assert shown_cost is not None
    assert printed.splitlines()[-1] == shown_cost[1]
    arrival = deployment.receiver.wait_for(SimpleNamespace(**names).job.id, 30)
    assert arrival is not None
    assert arrival.verified

    exec(money, names)  # noqa: S102 - as above
    plan, refused, usage = capsys.readouterr().out.splitlines()
    assert [plan, refused] == re.findall(r"  # ((?:0\.\d+ \[\]|402 \d+))", money)
    assert "'tag': 'team:ops'" in usage

    exec(models, names)  # noqa: S102 - as above
    served, cancelled = capsys.readouterr().out.splitlines()
    assert served == "gpt-5 None"
    assert cancelled in ("cancelled", "in_progress")
    names["client"].close()


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_readme_commands_are_make_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^ {4}(?:\w+=\S+ )*|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "serve", "test", "check", "bench", "build", "deploy", "tenant"} <= named
    assert named <= targets


def test_readme_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not Path(ROOT / link).exists()] == []
