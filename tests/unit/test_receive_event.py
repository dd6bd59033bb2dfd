"""A provider's event: verified, judged, queued. By fakes that keep what they were given."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.webhooks import signature
from afterthought.domain.errors import ProviderBusy, QueueUnavailable
from afterthought.services.run.receive_event import ENDINGS, MOST_BYTES, Outcome, Received, ReceiveEvent

OLD, NEW, FOREIGN = (signature.new_secret(bytes([number]) * 32) for number in (1, 2, 3))
RESPONSE_ID = "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b"
START = datetime(2026, 11, 21, 9, 15, 42, tzinfo=UTC)


@dataclass
class Secrets:
    """Two copies, as in a process: the one that was read, and the one that stands there by now."""

    held: dict[str, tuple[str, ...]]
    standing: dict[str, tuple[str, ...]]
    reads: int = 0
    down: bool = False

    def webhook_secrets(self, provider: str, *, fresh: bool = False) -> tuple[str, ...]:
        if self.down:
            raise ProviderBusy("The providers' secret could not be read.")
        if fresh:
            self.reads += 1
            self.held = dict(self.standing)
        return self.held.get(provider, ())


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
        self.receive = ReceiveEvent(self.secrets, self.queue, lambda: self.now)

    def send(self, body: Any, *secrets: str, provider: str = "openai", ago: int = 0) -> Received:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        at = int(self.now.timestamp()) - ago
        return self.receive(
            provider, signature.headers(secrets or (OLD,), message_id="evt_1", timestamp=at, body=raw), raw
        )


@pytest.fixture
def world() -> World:
    return World()


def event(kind: str = "response.completed", response_id: Any = RESPONSE_ID) -> dict[str, Any]:
    return {"id": "evt_1", "object": "event", "created_at": 1, "type": kind, "data": {"id": response_id}}


@pytest.mark.parametrize("kind", sorted(ENDINGS))
def test_the_end_of_a_response_is_queued(world: World, kind: str) -> None:
    assert world.send(event(kind)) == Received("received", RESPONSE_ID)
    assert world.queue.sent == [("openai", RESPONSE_ID)]


def test_an_event_that_comes_twice_is_queued_twice_since_twice_does_no_harm(world: World) -> None:
    assert [world.send(event()).outcome for _ in range(2)] == ["received", "received"]
    assert world.queue.sent == [("openai", RESPONSE_ID)] * 2


@pytest.mark.parametrize("kind", ["response.created", "batch.completed", "realtime.call.incoming", "", "response"])
def test_other_types_are_taken_and_dropped(world: World, kind: str) -> None:
    # Of another type nothing is read, whatever its form.
    assert world.send({"type": kind, "data": [1]}) == Received("ignored")
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
def test_what_is_signed_and_no_event_is_malformed(world: World, body: Any) -> None:
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
def test_what_could_change_the_path_it_is_asked_by_is_no_response_id(world: World, response_id: Any) -> None:
    assert world.send(event(response_id=response_id)).outcome == "malformed"
    assert world.queue.sent == []


@pytest.mark.parametrize(
    "provider", ["unheard-of", "silent", "", "OpenAI", "openai/", "../openai", "o" * 41, "openai\n", "None"]
)
def test_who_has_no_webhook_here_is_unknown(world: World, provider: str) -> None:
    assert world.send(event(), provider=provider).outcome == "unknown_provider"
    assert world.queue.sent == []


def test_a_name_out_of_form_costs_no_look_at_the_secret(world: World) -> None:
    world.secrets.down = True
    assert world.send(event(), provider="../openai").outcome == "unknown_provider"


def test_one_providers_secret_signs_nothing_for_another(world: World) -> None:
    world.secrets.held["other"] = world.secrets.standing["other"] = (NEW,)
    assert world.send(event(), NEW).outcome == "bad_signature"
    assert world.send(event(), NEW, provider="other").outcome == "received"


@pytest.mark.parametrize(("ago", "outcome"), [(300, "received"), (301, "stale"), (-300, "received"), (-301, "stale")])
def test_an_event_from_another_time_is_stale(world: World, ago: int, outcome: Outcome) -> None:
    assert world.send(event(), ago=ago).outcome == outcome
    assert bool(world.queue.sent) is (outcome == "received")


def test_what_is_not_signed_is_told_from_what_is_wrongly_signed(world: World) -> None:
    assert world.receive("openai", {}, b"{}").outcome == "unsigned"
    assert world.send(event(), FOREIGN).outcome == "bad_signature"


def test_what_is_too_large_for_an_event_is_not_even_verified(world: World) -> None:
    body = json.dumps(event()).encode()
    assert world.send(body.ljust(MOST_BYTES)).outcome == "received"
    world.secrets.down = True
    assert world.send(body.ljust(MOST_BYTES + 1)).outcome == "too_large"


@pytest.mark.parametrize("what", ["secrets", "queue"])
def test_what_could_not_be_taken_must_come_again(world: World, what: str) -> None:
    broken: Secrets | Queue = getattr(world, what)
    broken.down = True
    assert world.send(event()).outcome == "unavailable"
    broken.down = False
    assert world.send(event()).outcome == "received"
    assert len(world.queue.sent) == 1


def test_a_rotated_secret_is_taken_up_by_the_first_event_that_needs_it(world: World) -> None:
    assert world.send(event()).outcome == "received"
    world.secrets.standing["openai"] = (NEW,)
    assert world.send(event(), NEW).outcome == "received"
    assert world.send(event(), OLD).outcome == "bad_signature"
    assert world.secrets.reads == 1


def test_a_webhook_that_was_just_set_up_is_known_to_the_first_event(world: World) -> None:
    world.secrets.standing["silent"] = (NEW,)
    assert world.send(event(), NEW, provider="silent").outcome == "received"


def test_a_flood_of_wrong_signatures_reads_the_secret_once_a_minute(world: World) -> None:
    for _ in range(200):
        assert world.send(event(), FOREIGN).outcome == "bad_signature"
        assert world.send(event(), provider="unheard-of").outcome == "unknown_provider"
        world.now += timedelta(seconds=1)
    assert world.secrets.reads == 4


def test_an_old_or_unsigned_message_makes_nobody_read_the_secret_anew(world: World) -> None:
    world.send(event(), ago=1000)
    world.receive("openai", {}, b"{}")
    assert world.secrets.reads == 0


@given(
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(("webhook-id", "webhook-timestamp", "webhook-signature")), st.text(max_size=30)),
    st.text(max_size=50),
)
def test_nothing_that_anybody_sends_raises_or_is_queued(body: bytes, headers: dict[str, str], provider: str) -> None:
    world = World()
    for name in (provider, "openai"):
        assert world.receive(name, headers, body).outcome in ("unknown_provider", "unsigned", "bad_signature")
    assert world.queue.sent == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(("id", "type", "data")) | st.text(max_size=3), inner)
        ),
    )
)
def test_nothing_that_the_provider_signs_raises(body: Any) -> None:
    assert World().send(body).outcome in ("malformed", "ignored")
