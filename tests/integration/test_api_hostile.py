"""Hostile input gets a well-formed error, no 5xx, and is not stored."""

import base64
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import deploy
from tests.integration.deployed import Deployed, HttpAnswer

Json = dict[str, Any]

KEY = "local-key-acme"
FRAME = '{"model":"o3","input":"x",%s}'
MOST_BYTES = 128 * 1024
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

VALID: Json = {
    "model": "o3",
    "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "2 + 2?"}]}],
    "instructions": "Be brief.",
    "reasoning": {"effort": "low", "summary": "auto"},
    "max_output_tokens": 1000,
    "metadata": {"a": "b"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "function", "name": "f"},
    "afterthought": {"webhook_url": "https://hooks.example.com/x"},
}


@pytest.fixture(scope="module")
def api() -> Iterator[Deployed]:
    for deployed in deploy():
        deployed.make_tenant("acme", api_key=KEY)
        yield deployed


def post(api: Deployed, body: str, **options: Any) -> HttpAnswer:
    answer = api.call("POST", "/v1/responses", body, key=KEY, **options)
    assert answer.status < 500, answer.event
    if answer.status != 200:
        assert answer.error["message"]
        assert len(json.dumps(answer.error)) < 6000
    return answer


def sent_as_bytes(raw: bytes) -> dict[str, Any]:
    """A body that is not text, as the gateway passes it."""
    return {"body": base64.b64encode(raw).decode(), "encoded": True}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"{",
        b'{"model"',
        b'{"model":"o3","input":"x"}}',
        b"\xff\xfe{",
        b'{"model":"o3","input":"\xff"}',
        b'{"model":"o3","input":"\xed\xa0\x80"}',
        b'{"model":"o3","input":"\xc0\x80"}',
        b'\xef\xbb\xbf{"model":"o3","input":"x"}',
        '{"model":"o3","input":"x"}'.encode("utf-16"),
        b'{"model":"o3","input":"a\x00b"}',
        b"\x00" * 1000,
        b"\x1f\x8b\x08\x00" + b"\x00" * 100,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"model":"o3","input":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"model":"o3","input":"x","a":' + b'{"b":' * 70 + b"1" + b"}" * 71,
        b'{"model":"o3","input":"x","temperature":' + b"9" * 5000 + b"}",
        b'{"model":"o3","input":"x","max_output_tokens":' + b"9" * 4000 + b"}",
        b"model=o3&input=x",
        b"<xml/>",
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_malformed_body_is_refused(api: Deployed, raw: bytes) -> None:
    assert post(api, **sent_as_bytes(raw)).status == 400
    assert api.is_empty()


@pytest.mark.parametrize(
    "member",
    [
        r'"input":"\ud800"',
        r'"input":"a\u0000b"',
        r'"input":[{"type":"\udfff"}]',
        r'"tools":[{"type":"\ud800"}]',
        r'"model":"\ud800"',
        r'"\ud800":1',
        r'"metadata":{"\ud800":"x"}',
        r'"metadata":{"a":"\ud800"}',
        r'"metadata":{"a\u0000":"x"}',
        r'"text":{"format":{"type":"json_schema","name":"n","schema":{"\ud800":1}}}',
        r'"tools":[{"type":"function","name":"f","parameters":{"default":1e400}}]',
        r'"tools":[{"type":"function","name":"f","parameters":{"a":"\u0000"}}]',
        '"temperature":1e400',
        '"temperature":-1e400',
        '"temperature":NaN',
        '"temperature":Infinity',
        '"max_output_tokens":1e3',
        '"max_output_tokens":"1000"',
        '"top_logprobs":99999999999999999999',
        '"max_tool_calls":-99999999999999999999',
        '"background":"true"',
        '"store":1',
        '"input":["a"]',
        '"include":"all"',
        '"afterthought":[]',
        '"reasoning":"high"',
        '"text":{"format":{"type":{}}}',
        '"tool_choice":{"type":[],"name":{}}',
        '"tools":[{"type":null}]',
        '"tools":[null]',
        '"tools":{}',
        '"input":[[]]',
        '"input":[{"type":[]}]',
        '"input":[{"role":{}}]',
        '"metadata":{"":"x"}',
    ],
)
def test_wrong_field_is_named(api: Deployed, member: str) -> None:
    answer = post(api, FRAME % member)
    assert answer.status == 400
    assert answer.error["param"] or r"\ud800" in member or "NaN" in member or "Infinity" in member
    assert api.is_empty()


def test_unescaped_surrogate_is_refused(api: Deployed) -> None:
    event_body = '{"model":"o3","input":"\ud800"}'
    answer = post(api, event_body)
    assert answer.error["code"] == "invalid_json"


@pytest.mark.parametrize("body", ["!!!", "a", "abc", "Zm9v\n", "ÿ", "====", "Zm9v=Zm9v"])
def test_invalid_base64_is_refused(api: Deployed, body: str) -> None:
    assert post(api, body, encoded=True).status == 400
    assert api.is_empty()


def fill(text: str, unit: str) -> str:
    """`text` with the star replaced by units, up to a size for which tracing memory is fast."""
    room = MOST_BYTES - len(text)
    return text.replace("*", unit * (room // len(unit)) + unit.rstrip(","))


@pytest.mark.parametrize(
    "body",
    [
        lambda: fill('{"model":"o3","input":[*]}', "1,"),
        lambda: fill('{"model":"o3","input":[*]}', "{},"),
        lambda: fill('{"model":"o3","input":[*]}', '{"role":"u"},'),
        lambda: fill('{"model":"o3","input":[{"role":"user","content":[*]}]}', "1,"),
        lambda: fill('{"model":"o3","input":[{"type":"reasoning","encrypted_content":"x","summary":[*]}]}', "1,"),
        lambda: fill('{"model":"o3","input":"x","include":[*]}', "1,"),
        lambda: fill('{"model":"o3","input":"x","tools":[*]}', "1,"),
        lambda: fill('{"model":"o3","input":"x","stop":[*]}', "1,"),
        lambda: json.dumps({"model": "o3", "input": "x", **{f"{n:x}": 1 for n in range(15_000)}}),
        lambda: json.dumps({"model": "o3", "input": "x", "metadata": {f"{n:x}": 1 for n in range(15_000)}}),
        lambda: json.dumps({"model": "o3", "input": [{"role": "user", **{f"{n:x}": 1 for n in range(15_000)}}]}),
        # A long key over a long list: a path for each item would repeat the key.
        lambda: fill('{"model":"o3","input":"x","metadata":{"' + "k" * 60_000 + '":[*]}}', "1,"),
    ],
    ids=["numbers", "objects", "messages", "parts", "summaries", "include", "tools", "unknown", "members", "metadata",
         "item members", "long key"],
)  # fmt: skip
def test_many_errors_use_little_memory(api: Deployed, body: Callable[[], str]) -> None:
    text = body()
    tracemalloc.start()
    try:
        answer = post(api, text)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 400
    # A parsed list of small values takes about thirty times its text. The function has 256 times the largest body.
    assert peak_bytes < 100 * len(text)
    assert api.is_empty()


@FUZZ
@given(st.binary(max_size=300))
@example(b'{"model":"o3","input":"\\ud800"}')
def test_random_bytes_give_no_5xx(api: Deployed, raw: bytes) -> None:
    assert post(api, **sent_as_bytes(raw)).status == 400


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=20), st.just("\ud800")
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["model", "input", "type", "role", "content", "text", "file_id", "format", "schema", "name", "id", "effort", "",
     "image_url", "call_id", "output", "arguments", "summary", "detail", "webhook_url", "tools", "strict"]
)  # fmt: skip


def places(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from places(inner)
    elif isinstance(value, list):
        yield value
        for inner in value:
            yield from places(inner)


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """A valid request with one to three changes."""
    body = json.loads(json.dumps(VALID))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(places(body))))
        if isinstance(place, list):
            place.insert(0, draw(ANYTHING))
        elif draw(st.booleans()) and place:
            place[draw(st.sampled_from(sorted(place)))] = draw(ANYTHING)
        else:
            place[draw(NAMES)] = draw(ANYTHING)
    return json.dumps(body)


@FUZZ
@given(mutants())
def test_mutated_request_gives_no_5xx(api: Deployed, body: str) -> None:
    answer = post(api, body)
    if answer.status == 200:
        retrieved = api.call("GET", f"/v1/responses/{answer.body['id']}", key=KEY)
        assert retrieved.body == answer.body


@FUZZ
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW", ""]),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.dictionaries(
        st.sampled_from(["authorization", "idempotency-key", "content-type", "x-request-id", "prefer", "cookie"]),
        st.text(st.characters(codec="utf-8"), max_size=40),
    ),
)
def test_random_path_gives_no_5xx(api: Deployed, method: str, text: str, headers: dict[str, str]) -> None:
    for path in (text, f"/{text}", f"/v1/{text}", f"/v1/responses/{text}", f"/v1/models/{text}"):
        assert api.call(method, path, headers=headers).status < 500
        assert api.call(method, path, key=KEY, headers={"prefer": text}).status < 500
