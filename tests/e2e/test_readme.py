"""What the README shows works when it is pasted, and what it names is there."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import ROOT
from local.receiver import PORT
from local.tenants import ACME
from tests.e2e.conftest import Whole

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"<!-- run by tests/e2e/test_readme.py -->\n```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.e2e
def test_the_code_it_shows_runs_as_it_stands(whole: Whole, capsys: pytest.CaptureFixture[str]) -> None:
    submit, retrieve, money, fate = (
        block.replace("http://127.0.0.1:8000/v1", whole.service.base_url).replace(
            f"http://127.0.0.1:{PORT}/{ACME.name}", whole.receiver.url(ACME.name)
        )
        for block in BLOCKS
    )
    pasted: dict[str, Any] = {}
    exec(submit, pasted)  # noqa: S102 - running what the README shows is the point
    assert re.fullmatch(r"resp_[0-9a-f]{48} queued\n", capsys.readouterr().out)

    exec(retrieve, pasted)  # noqa: S102 - as above
    printed = capsys.readouterr().out
    assert printed.startswith("completed ")
    assert "x = 15" in printed
    claimed = re.search(r'\["total_usd"\]\)  # ([0-9.]+):', retrieve)
    assert claimed is not None
    assert printed.splitlines()[-1] == claimed[1]
    arrived = whole.receiver.wait_for(SimpleNamespace(**pasted).job.id, 30)
    assert arrived is not None
    assert arrived.verified

    exec(money, pasted)  # noqa: S102 - as above
    plan, refused, usage = capsys.readouterr().out.splitlines()
    assert [plan, refused] == re.findall(r"  # ((?:0\.\d+ \[\]|402 \d+))", money)
    assert "'tag': 'team:ops'" in usage

    exec(fate, pasted)  # noqa: S102 - as above
    served, cancelled = capsys.readouterr().out.splitlines()
    assert served == "gpt-5 None"
    assert cancelled in ("cancelled", "in_progress")
    pasted["client"].close()


def test_it_is_short_enough_to_read() -> None:
    assert len(README.splitlines()) < 200


def test_every_command_it_names_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^ {4}(?:\w+=\S+ )*|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "serve", "test", "check", "bench", "build", "deploy", "tenant"} <= named
    assert named <= targets


def test_every_file_it_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not Path(ROOT / link).exists()] == []
