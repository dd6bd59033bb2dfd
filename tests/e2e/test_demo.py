"""The demo, as `make demo` runs it, its output piped."""

import os
import re
import subprocess
import sys

import pytest

from local import ROOT
from local.standin import StandIn

pytestmark = pytest.mark.e2e


def demo(**settings: str) -> subprocess.CompletedProcess[str]:
    real = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "QUESTION", "MODEL", "EFFORT")
    environment = {name: value for name, value in os.environ.items() if name not in real}
    return subprocess.run(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env={**environment, "STANDIN_SPEED": "20", **settings},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_demo_follows_three_jobs_to_their_ends_and_says_who_answered() -> None:
    done = demo()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert done.stdout.count("client.webhooks.unwrap() accepted its signature") == 3
    assert len(re.findall(r"SNS +response\.completed arrived", done.stdout)) == 3
    assert len(re.findall(r"Cost +\$0\.\d+ of at most \$\d\.\d+, held before it ran \(", done.stdout)) == 3
    assert "7006562" in done.stdout
    assert "STAND-IN" in done.stdout


def test_with_a_key_of_ones_own_the_named_endpoint_answers_ones_own_question_and_the_demo_says_so() -> None:
    with StandIn(speed=20, api_key="a-real-key") as real:
        done = demo(
            OPENAI_API_KEY="a-real-key",
            OPENAI_BASE_URL=real.base_url,
            QUESTION="What is 31 * 33?",
            MODEL="gpt-5.4",
            EFFORT="none",
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert [(made.model, made.effort) for made in real.generations] == [("gpt-5.4", "none")]
    assert "1023" in done.stdout
    assert f"a real endpoint, {real.base_url}" in done.stdout
    assert "STAND-IN" not in done.stdout
    assert "a-real-key" not in done.stdout


def test_the_demo_refuses_a_model_that_there_is_not_with_the_services_own_words() -> None:
    done = demo(QUESTION="What is 5 + 5?", MODEL="gpt-99")

    assert done.returncode == 1
    assert "gpt-99" in done.stderr
    assert "Traceback" not in done.stderr
