"""Completion events: without content, the same for every repeat, and valid for OpenAI's SDK."""

import json
from datetime import timedelta
from typing import Any

import pytest
from openai.types.webhooks import UnwrapWebhookEvent
from pydantic import TypeAdapter

from afterthought.domain.jobs.status import TERMINAL, Status
from afterthought.domain.webhooks.event import CompletionEvent, endpoint_hash, webhook_id
from tests.simulator.clock import START
from tests.simulator.examples import a_job, a_settled_job

URL = "https://hooks.example.com/done?token=secret"
EVENTS: TypeAdapter[Any] = TypeAdapter(UnwrapWebhookEvent)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_every_status_is_an_openai_event(status: Status) -> None:
    event = CompletionEvent.of(a_settled_job().model_copy(update={"status": status}))
    parsed = EVENTS.validate_json(event.payload(), strict=True)
    assert parsed.type == f"response.{status}"
    assert parsed.data.id == a_settled_job().id
    assert parsed.created_at == int((START + timedelta(minutes=14)).timestamp())


def test_running_job_has_no_event() -> None:
    with pytest.raises(ValueError, match="not ended"):
        CompletionEvent.of(a_job())


def test_repeated_event_is_equal() -> None:
    job = a_settled_job()
    swept_job = job.record_sweep(now=START + timedelta(days=1))
    assert CompletionEvent.of(job) == CompletionEvent.of(swept_job)
    assert CompletionEvent.of(job).payload() == CompletionEvent.of(swept_job).payload()


def test_ids_never_change() -> None:
    """Receivers drop repeats by these ids. With another derivation, old events would look new."""
    event = CompletionEvent.of(a_settled_job())
    assert event.id == "evt_fb4ce45dfae58ea0571b1fc8c1e1ebab"
    assert webhook_id(event, URL) == "msg_2ce3af7984fc7031675edf6a6778b5d6"


def test_ids_differ_by_job_status_and_endpoint() -> None:
    job = a_settled_job()
    events = [CompletionEvent.of(each) for each in (job, a_settled_job(1), job.model_copy(update={"status": "failed"}))]
    assert len({event.id for event in events}) == 3
    assert len({webhook_id(event, url) for event in events for url in (URL, URL + "2")}) == 6


def test_payload_has_only_the_job_id() -> None:
    event = CompletionEvent.of(a_settled_job())
    assert set(json.loads(event.payload())) == {"id", "object", "created_at", "type", "data"}
    assert json.loads(event.payload())["data"] == {"id": a_settled_job().id}


def test_endpoint_hash_does_not_contain_the_url() -> None:
    assert endpoint_hash(URL) == endpoint_hash(URL)
    assert endpoint_hash(URL) != endpoint_hash(URL + "2")
    assert "secret" not in endpoint_hash(URL)
    assert len(endpoint_hash(URL)) == 16
