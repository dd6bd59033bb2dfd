"""`ProviderEventReceiver.receive`, with fakes for the secret and the queue."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.errors import ProviderBusy, QueueUnavailable
from afterthought.domain.webhooks import signature
from afterthought.services.run.receive_event import (
    MAX_BYTES,
    TERMINAL_EVENTS,
    Outcome,
    ProviderEventReceiver,
    ReceivedEvent,
)

OLD, NEW, FOREIGN = (signature.new_secret(bytes([number]) * 32) for number in (1, 2, 3))
RESPONSE_ID = "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b"
START = datetime(2026, 11, 21, 9, 15, 42, tzinfo=UTC)


@dataclass
class Secrets:
    """The copy that a process has cached, and the current content of the secret."""

    cached: dict[str, tuple[str, ...]]
    current: dict[str, tuple[str, ...]]
    refreshes: int = 0
    down: bool = False

    def webhook_secrets(self, provider: str, *, fresh: bool = False) -> tuple[str, ...]:
        if self.down:
            raise ProviderBusy("The provider secret could not be read.")
        if fresh:
            self.refreshes += 1
            self.cached = dict(self.current)
        return self.cached.get(provider, ())


@dataclass
class Queue:
    down: bool = False
    sent: list[tuple[str, str]] = field(default_factory=list)

    def send(self, provider: str, response_id: str) -> None:
        if self.down:
            raise QueueUnavailable("the queue could not be reached")
        self.sent.append((provider, response_id))


class World:
    def __init__(self) -> None:
        self.now = START
        self.secrets = Secrets({"openai": (OLD,), "silent": ()}, {"openai": (OLD,), "silent": ()})
        self.queue = Queue()
        self.receiver = ProviderEventReceiver(self.secrets, self.queue, lambda: self.now)

    def send(self, body: Any, *secrets: str, provider: str = "openai", ago: int = 0) -> ReceivedEvent:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        at = int(self.now.timestamp()) - ago
        return self.receiver.receive(
            provider, signature.headers(secrets or (OLD,), message_id="evt_1", timestamp=at, body=raw), raw
        )


@pytest.fixture
def world() -> World:
    return World()


def event(event_type: str = "response.completed", response_id: Any = RESPONSE_ID) -> dict[str, Any]:
    return {"id": "evt_1", "object": "event", "created_at": 1, "type": event_type, "data": {"id": response_id}}


@pytest.mark.parametrize("event_type", sorted(TERMINAL_EVENTS))
def test_terminal_event_is_queued(world: World, event_type: str) -> None:
    assert world.send(event(event_type)) == ReceivedEvent("received", RESPONSE_ID)
    assert world.queue.sent == [("openai", RESPONSE_ID)]


def test_repeated_event_is_queued_again(world: World) -> None:
    assert [world.send(event()).outcome for _ in range(2)] == ["received", "received"]
    assert world.queue.sent == [("openai", RESPONSE_ID)] * 2


@pytest.mark.parametrize(
    "event_type", ["response.created", "batch.completed", "realtime.call.incoming", "", "response"]
)
def test_other_event_types_are_ignored(world: World, event_type: str) -> None:
    # The rest of another type is not parsed.
    assert world.send({"type": event_type, "data": [1]}) == ReceivedEvent("ignored")
    assert world.queue.sent == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"type": ' + b"1" * 5_000 + b"}",
        [],
        "response.completed",
        None,
        1,
        {},
        {"type": None},
        {"type": ["response.completed"]},
        {"type": "response.completed"},
        {"type": "response.completed", "data": RESPONSE_ID},
        {"type": "response.completed", "data": {}},
    ],
)
def test_signed_non_event_is_malformed(world: World, body: Any) -> None:
    assert world.send(body).outcome == "malformed"
    assert world.queue.sent == []


@pytest.mark.parametrize(
    "response_id",
    [
        None,
        1,
        [],
        "",
        "..",
        ".",
        "a/b",
        "resp_1/cancel",
        "resp_1?x=1",
        "resp_%2e",
        "-x",
        "resp_ 1",
        "resp_1\n",
        "ré",
        "r" * 129,
    ],
)
def test_unsafe_response_id_is_malformed(world: World, response_id: Any) -> None:
    assert world.send(event(response_id=response_id)).outcome == "malformed"
    assert world.queue.sent == []


@pytest.mark.parametrize(
    "provider", ["unheard-of", "silent", "", "OpenAI", "openai/", "../openai", "o" * 41, "openai\n", "None"]
)
def test_provider_without_webhook_is_unknown(world: World, provider: str) -> None:
    assert world.send(event(), provider=provider).outcome == "unknown_provider"
    assert world.queue.sent == []


def test_invalid_provider_name_reads_no_secret(world: World) -> None:
    world.secrets.down = True
    assert world.send(event(), provider="../openai").outcome == "unknown_provider"


def test_secret_is_valid_for_its_provider_only(world: World) -> None:
    world.secrets.cached["other"] = world.secrets.current["other"] = (NEW,)
    assert world.send(event(), NEW).outcome == "bad_signature"
    assert world.send(event(), NEW, provider="other").outcome == "received"


@pytest.mark.parametrize(("ago", "outcome"), [(300, "received"), (301, "stale"), (-300, "received"), (-301, "stale")])
def test_event_outside_tolerance_is_stale(world: World, ago: int, outcome: Outcome) -> None:
    assert world.send(event(), ago=ago).outcome == outcome
    assert bool(world.queue.sent) is (outcome == "received")


def test_unsigned_and_wrongly_signed_differ(world: World) -> None:
    assert world.receiver.receive("openai", {}, b"{}").outcome == "unsigned"
    assert world.send(event(), FOREIGN).outcome == "bad_signature"


def test_large_body_is_not_verified(world: World) -> None:
    body = json.dumps(event()).encode()
    assert world.send(body.ljust(MAX_BYTES)).outcome == "received"
    world.secrets.down = True
    assert world.send(body.ljust(MAX_BYTES + 1)).outcome == "too_large"


@pytest.mark.parametrize("dependency", ["secrets", "queue"])
def test_unavailable_event_can_be_repeated(world: World, dependency: str) -> None:
    broken: Secrets | Queue = getattr(world, dependency)
    broken.down = True
    assert world.send(event()).outcome == "unavailable"
    broken.down = False
    assert world.send(event()).outcome == "received"
    assert len(world.queue.sent) == 1


def test_rotated_secret_is_used_at_once(world: World) -> None:
    assert world.send(event()).outcome == "received"
    world.secrets.current["openai"] = (NEW,)
    assert world.send(event(), NEW).outcome == "received"
    assert world.send(event(), OLD).outcome == "bad_signature"
    assert world.secrets.refreshes == 1


def test_new_webhook_secret_is_used_at_once(world: World) -> None:
    world.secrets.current["silent"] = (NEW,)
    assert world.send(event(), NEW, provider="silent").outcome == "received"


def test_flood_refreshes_secret_once_a_minute(world: World) -> None:
    for _ in range(200):
        assert world.send(event(), FOREIGN).outcome == "bad_signature"
        assert world.send(event(), provider="unheard-of").outcome == "unknown_provider"
        world.now += timedelta(seconds=1)
    assert world.secrets.refreshes == 4


def test_stale_or_unsigned_message_refreshes_nothing(world: World) -> None:
    world.send(event(), ago=1000)
    world.receiver.receive("openai", {}, b"{}")
    assert world.secrets.refreshes == 0


@given(
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(("webhook-id", "webhook-timestamp", "webhook-signature")), st.text(max_size=30)),
    st.text(max_size=50),
)
def test_any_unsigned_request_is_refused(body: bytes, headers: dict[str, str], provider: str) -> None:
    world = World()
    for name in (provider, "openai"):
        assert world.receiver.receive(name, headers, body).outcome in ("unknown_provider", "unsigned", "bad_signature")
    assert world.queue.sent == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(("id", "type", "data")) | st.text(max_size=3), inner)
        ),
    )
)
def test_any_signed_body_is_handled(body: Any) -> None:
    assert World().send(body).outcome in ("malformed", "ignored")
