"""`make demo`, with its output piped. Each test starts an emulator of its own."""

import os
import re
import subprocess
import sys

import pytest

from local import ROOT
from local.standin import StandIn

pytestmark = [pytest.mark.e2e, pytest.mark.slow_proof]


def run_demo(**settings: str) -> subprocess.CompletedProcess[str]:
    unset = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "QUESTION", "MODEL", "EFFORT")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env={**environment, "STANDIN_SPEED": "20", **settings},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_demo_follows_three_jobs() -> None:
    demo = run_demo()

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "\x1b" not in demo.stdout
    assert demo.stdout.count("client.webhooks.unwrap() accepted its signature") == 3
    assert len(re.findall(r"SNS +response\.completed arrived", demo.stdout)) == 3
    assert len(re.findall(r"Cost +\$0\.\d+ of at most \$\d\.\d+, held before it ran \(", demo.stdout)) == 3
    assert "7006562" in demo.stdout
    assert "STAND-IN" in demo.stdout


def test_demo_asks_the_configured_endpoint() -> None:
    """An API key of the user's own. This endpoint sends no events, so delayed checks alone complete the job."""
    with StandIn(speed=20, api_key="a-real-key") as real:
        demo = run_demo(
            OPENAI_API_KEY="a-real-key",
            OPENAI_BASE_URL=real.base_url,
            QUESTION="What is 31 * 33?",
            MODEL="gpt-5.4",
            EFFORT="none",
        )

        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert [(each.model, each.effort) for each in real.generations] == [("gpt-5.4", "none")]
        assert real.requests["retrieve"] >= 1
    assert "1023" in demo.stdout
    assert f"a real endpoint, {real.base_url}" in demo.stdout
    assert "STAND-IN" not in demo.stdout
    assert "a-real-key" not in demo.stdout


def test_demo_prints_service_refusal() -> None:
    demo = run_demo(QUESTION="What is 5 + 5?", MODEL="gpt-99")

    assert demo.returncode == 1
    assert "gpt-99" in demo.stderr
    assert "Traceback" not in demo.stderr
