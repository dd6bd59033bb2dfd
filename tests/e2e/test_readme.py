"""The code of the README and of docs/money.md runs as shown. The README is short, and its commands exist."""

import json
import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from afterthought.adapters.provider_secrets import Connection
from local import ROOT
from local.receiver import PORT
from local.tenants import ACME
from tests.e2e.conftest import Deployment

README = (ROOT / "README.md").read_text()
MONEY = ROOT / "docs" / "money.md"

MAX_LINES = 110
MAX_WORDS = 700

_BLOCK = re.compile(r"<!-- run by tests/e2e/test_readme.py -->\n```python\n(.*?)```", re.DOTALL)
_PRINT = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)


def blocks_of(text: str, deployment: Deployment) -> list[str]:
    """The code blocks, with the addresses of the deployed stack."""
    own_receiver = f"http://127.0.0.1:{PORT}/{ACME.name}"
    return [
        block.replace("http://127.0.0.1:8000/v1", deployment.service.base_url).replace(
            own_receiver, deployment.receiver.url(ACME.name)
        )
        for block in _BLOCK.findall(text)
    ]


def shown_output(block: str) -> Iterator[str]:
    """Patterns of the output that the comments after `print(…)` show: up to a colon or semicolon, `…` being any text.
    A comment without a digit or an ellipsis only explains."""
    for comment in _PRINT.findall(block):
        shown = re.split(r"[:;](?: |$)", comment)[0]
        if re.search(r"[0-9…]", shown):
            yield ".*".join(map(re.escape, shown.split("…")))


@pytest.mark.e2e
def test_documented_code_runs(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}

    def run(block: str) -> None:
        exec(block, names)  # noqa: S102 - the test runs the documented code
        printed = capsys.readouterr().out
        shown = list(shown_output(block))
        assert [each for each in shown if not re.search(f"^{each}$", printed, re.MULTILINE)] == [], printed

    create_and_wait, webhook = blocks_of(README, deployment)
    run(create_and_wait)
    job_id = names["job"].id

    run(webhook)
    arrival = deployment.receiver.wait_for(job_id, 30)
    assert arrival is not None
    assert names["WEBHOOK_SECRET"] == ACME.webhook_secret
    assert names["receive"](arrival.body, arrival.headers) == job_id
    assert capsys.readouterr().out == "response.completed\n"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        names["receive"](arrival.body + b" ", arrival.headers)

    for block in blocks_of(MONEY.read_text() if MONEY.exists() else "", deployment):
        run(block)
    names["client"].close()


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= MAX_LINES
    assert len(README.split()) <= MAX_WORDS


def test_readme_commands_are_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    commands = re.findall(r"^ {4}make ([a-z]+)(.*)$", README, re.MULTILINE)
    named = {target for target, _ in commands}
    variables = {name for _, arguments in commands for name in re.findall(r"\b([A-Z]+)=", arguments)}
    assert {"demo", "test", "serve", "deploy", "tenant"} <= named <= targets
    assert {name for name in variables if f"$({name})" not in makefile} == set()


def test_readme_python_modules_exist() -> None:
    modules = re.findall(r"python -m ([\w.]+)", README)
    assert modules
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []


def test_provider_secret_is_valid() -> None:
    secret = re.search(r"--secret-string '(.+)'", README)
    assert secret is not None
    assert {name: Connection.model_validate(each) for name, each in json.loads(secret[1]).items()}.keys() == {"openai"}
    assert "\n  ProviderSecretArn:" in (ROOT / "template.yaml").read_text().partition("\nOutputs:")[2]
