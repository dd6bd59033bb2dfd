"""Redaction removes account details from provider messages and keeps the rest."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.redaction import REDACTED, redact

# Messages of OpenAI and compatible servers, with invented ids.
SENSITIVE = [
    (
        "Limit of gpt-5 in organization org-abcDEF123 on tokens per min (TPM): Limit 30000, Used 29937.",
        "Limit of gpt-5 in organization [redacted] on tokens per min (TPM): Limit [redacted], Used [redacted].",
    ),
    (
        "Requested 385. Please try again in 644ms. Visit https://platform.openai.com/account/rate-limits for more.",
        "Requested 385. Please try again in 644ms. Visit https://platform.openai.com/account/rate-limits for more.",
    ),
    (
        "gpt-3.5 in organization org-abc123 on requests per min. Limit: 3 / min. Current: 20 / min.",
        "gpt-3.5 in organization [redacted] on requests per min. Limit: [redacted] / min. Current: [redacted] / min.",
    ),
    ("Limit: 150000.000000 / min. Current: 1,176,000 / min.", "Limit: [redacted] / min. Current: [redacted] / min."),
    (
        "Incorrect API key provided: sk-proj-*************************abcd. You can find yours in the dashboard.",
        "Incorrect API key provided: [redacted]. You can find yours in the dashboard.",
    ),
    ("Incorrect API key provided: sk-abc*****xyz.", "Incorrect API key provided: [redacted]."),
    ("Project `proj_Ab12Cd34` does not have access to `gpt-5`", "Project `[redacted]` does not have access to `gpt-5`"),
    (
        "The server had an error. Please include the request ID req_0a1b2c3d4e in your message.",
        "The server had an error. Please include the request ID [redacted] in your message.",
    ),
    (
        "Contact us through our help center (please include the request ID 5e1c0f2ab39d4c7b in your email).",
        "Contact us through our help center (please include the request ID [redacted] in your email).",
    ),
    (
        "Limit of o3 in organization org-abcdefghijkl on tokens per min. The limit is 30,000; remaining: 1200.",
        "Limit of o3 in organization [redacted] on tokens per min. The limit is [redacted]; remaining: [redacted].",
    ),
    ("Project `proj_abcdef` has no access", "Project `[redacted]` has no access"),
    ("organization: org-ABCdef_12 is unknown", "organization: [redacted] is unknown"),
    ("(organization_id=org-ab, project id: proj_cd)", "(organization_id=[redacted], project id: [redacted])"),
    ("org-abcdefgh and PROJ_ABCDEFGH pay", "[redacted] and [redacted] pay"),
    ("organization 'Acme Corp GmbH' must be verified", "organization '[redacted]' must be verified"),
    ('The project named "Anna\'s tests" is archived', 'The project named "[redacted]" is archived'),
    ("project 'Anna's tests' of organization 'Acme'", "project '[redacted]' of organization '[redacted]'"),
    ("x-ratelimit-remaining: 17", "x-ratelimit-remaining: [redacted]"),
    ("Request id: 1f2e-3d4c failed", "Request id: [redacted] failed"),
    ("x-request-id: req_9f8e7d6c5b", "x-request-id: [redacted]"),
    ("user-Ab12Cd34Ef is over its limit", "[redacted] is over its limit"),
    ("Authorization: Bearer abc.def.ghi was refused", "Authorization: Bearer [redacted] was refused"),
    ("POST https://me:secret@llm.example.com/v1 failed", "POST https://[redacted] failed"),
    ("redis://:pw@10.0.0.1:6379 is down", "redis://[redacted] is down"),
    ("see https://llm.example.com/v1?api-key=abc&x=1, please", "see https://llm.example.com/v1?[redacted], please"),
]

HARMLESS = [
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Invalid schema for response_format 'answer': In context=(), 'required' is required to be supplied.",
    "Unsupported value: 'reasoning.effort' does not support 'xhigh' with this model.",
    "The model `openai/gpt-oss-20b` does not exist.",
    "Please include the request ID in your message.",
    "Your organization must be verified: see https://platform.openai.com/settings/organization/general.",
    "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens.",
    "Item 'rs_0a1b2c3d' of type 'reasoning' was provided without its required following item.",
    "The limit of tools is 128; a task-list or risk-free use of sk- is no key.",
    "An org-chart, an org-wide rule and a proj_x are no ids; nor is user-generated text or a user_location.",
    "Unknown parameter: 'project'. Did you mean 'prompt'?",
    "Missing 'organization', 'project' and 'name' in 'metadata'",
    "Your organization must be verified to use the model `o3`, and no input is remaining",
    "organization-wide, project-based, user-friendly and request-scoped words are words",
]


@pytest.mark.parametrize(("text", "expected"), SENSITIVE)
def test_account_details_are_redacted(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_kept(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("text", [expected for _, expected in SENSITIVE])
def test_redaction_is_idempotent(text: str) -> None:
    assert redact(text) == text


def test_known_secret_is_redacted() -> None:
    assert redact("key=hunter2hunter2!", ["hunter2hunter2"]) == f"key={REDACTED}!"


@pytest.mark.parametrize("key", ["", "EMPTY", "ollama", "none"])
def test_placeholder_key_is_not_redacted(key: str) -> None:
    assert redact("the ollama server said: none, EMPTY", [key]) == "the ollama server said: none, EMPTY"


@given(
    before=st.text(max_size=50),
    secret=st.text("abcdefXYZ0123456789-_.+/=$^()[]\\", min_size=8),
    after=st.text(max_size=50),
)
def test_known_secret_is_always_redacted(before: str, secret: str, after: str) -> None:
    assert secret in REDACTED or secret not in redact(f"{before}{secret}{after}", [secret])


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "sk-",
        "http://",
        "request id ",
        "org-",
        "https://a?",
        "limit ",
        "limit is ",
        "@",
        "bearer ",
        "org-org-",
        "org_",
        "project ",
        "project '",
        "project id:   ",
        "'",
        "1",
    ],
)
def test_long_message_is_fast(unit: str) -> None:
    start = time.process_time()
    redact(unit * (500_000 // len(unit)))
    assert time.process_time() - start < 5
