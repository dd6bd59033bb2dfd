"""Parsing a body: a checked request, or one error that names the field."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterthought.domain.errors import BodyTooLarge, InvalidRequest, RequestRefused
from afterthought.domain.request import body

REQUEST = {"model": "o3", "input": "Why?"}


def encode(**changes: Any) -> bytes:
    return json.dumps({**REQUEST, **changes}).encode()


def canonical(**changes: Any) -> bytes:
    return body.canonical(body.parse(encode(**changes)))


def refusal(content: bytes) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        body.parse(content)
    return caught.value


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": schema}
    return {"type": "function", "name": "f", "parameters": schema}


def test_body_size_limit() -> None:
    overhead = len(encode(input=""))
    largest = encode(input="x" * (body.MAX_BODY_BYTES - overhead))
    assert len(largest) == body.MAX_BODY_BYTES
    assert len(str(body.parse(largest).input)) == body.MAX_BODY_BYTES - overhead
    with pytest.raises(BodyTooLarge):
        body.parse(largest + b" ")


def test_size_is_checked_before_parsing() -> None:
    with pytest.raises(BodyTooLarge):
        body.parse(b"\xff" * (body.MAX_BODY_BYTES + 1))


def test_invalid_utf_8_is_located() -> None:
    refused = refusal(b'{"model": "\xff"}')
    assert refused.code == "invalid_json"
    assert "byte 11" in refused.message


def test_invalid_json_is_located_not_quoted() -> None:
    refused = refusal(b'{"model": "o3", "input": secret}')
    assert "character 25" in refused.message
    assert "secret" not in refused.message


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "01", "0x1", "1_000", "'a'", "// c", "9" * 5000])
def test_nonstandard_json_is_refused(text: str) -> None:
    assert refusal(f'{{"model": "o3", "input": "x", "temperature": {text}}}'.encode()).code == "invalid_json"


def test_nesting_limit() -> None:
    # The body, the list of tools, and the tool are levels too.
    assert body.parse(encode(tools=[nested(body.MAX_DEPTH - 3)])).tools
    assert "too deeply" in refusal(encode(tools=[nested(body.MAX_DEPTH - 2)])).message
    assert "too deeply" in refusal(b'{"model":' + b"[" * 200_000).message


def test_member_limit() -> None:
    wide: dict[str, Any] = {str(number): {} for number in range(body.MAX_MEMBERS)}
    assert body.parse(encode(tools=[{"type": "function", "name": "f", "parameters": wide}])).tools
    refused = refusal(encode(tools=[{"type": "function", "name": "f", "parameters": {**wide, "more": 1}}]))
    assert refused.param == "tools[0].parameters"
    assert str(body.MAX_MEMBERS) in refused.message
    assert refusal(encode(**wide)).param is None


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": "a\0"}, "input"),
        ({"input": "\ud800"}, "input"),
        ({"metadata": {"k": "\udfff"}}, "metadata.k"),
        ({"metadata": {"\0": "v"}}, "metadata"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "\0"}]}]}, "input[0].content[0].text"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {"a": [{"b": "\0"}]}}]},
         "tools[0].parameters.a[0].b"),
        ({"unknown": "\ud800"}, "unknown"),
    ],
)  # fmt: skip
def test_invalid_text_is_named_by_path(changes: dict[str, Any], param: str) -> None:
    refused = refusal(encode(**changes))
    assert refused.param == param
    refused.message.encode()


def test_infinite_number_is_named_by_path() -> None:
    content = b'{"model":"o3","input":"x","tools":[{"type":"function","name":"f","parameters":{"maximum":1e999}}]}'
    assert refusal(content).param == "tools[0].parameters.maximum"


def test_long_path_is_truncated() -> None:
    refused = refusal(encode(metadata={"k" * 100_000: "\0"}))
    assert len(refused.param or "") < 100
    assert len(refused.message) < 200


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_provider_reference_is_refused(name: str) -> None:
    refused = refusal(encode(**{name: "x"}))
    assert (refused.param, refused.code) == (name, "unsupported_parameter")
    assert body.parse(encode(**{name: None})) == body.parse(encode())


def test_last_duplicate_key_wins() -> None:
    assert body.parse(b'{"model":"o1","model":"o3","input":"x"}').model == "o3"


def test_first_error_is_reported() -> None:
    refused = refusal(encode(model=1, temperature="hot", unknown=True))
    assert refused.param == "model"


@pytest.mark.parametrize("value", [1, 0, "true", "false", [], {}])
@pytest.mark.parametrize("name", ["store", "stream", "background", "parallel_tool_calls"])
def test_boolean_fields_are_strict(name: str, value: object) -> None:
    assert refusal(encode(**{name: value})).param == name


def test_canonical_ignores_order_and_spacing() -> None:
    one = b'{"model":"o3","input":"\\u0078","reasoning":{"effort":"low","summary":"auto"},"user":null}'
    other = b' { "reasoning" : {"summary":"auto", "effort":"low"},\n"input":"x","model":"o3" } '
    assert body.canonical(body.parse(one)) == body.canonical(body.parse(other))


def test_canonical_options_have_one_form() -> None:
    one = {"tags": ["team:b", "team:a"], "max_cost_usd": "0.50"}
    for other in ({**one, "tags": ["team:a", "team:b"]}, {**one, "max_cost_usd": "0.5"}, {**one, "webhook_url": None}):
        assert canonical(afterthought=other) == body.canonical(body.parse(encode(afterthought=one)))
    assert json.loads(canonical(afterthought=one))["afterthought"] == {
        "max_cost_usd": "0.5",
        "tags": ["team:a", "team:b"],
    }


@pytest.mark.parametrize(
    "options", [None, {}, {"tags": []}, {"dry_run": False}, {"dry_run": True}, {"webhook_url": None}]
)
def test_canonical_omits_empty_options(options: dict[str, Any] | None) -> None:
    """A dry run is not stored, so a later real request must not count as a different one."""
    assert canonical(afterthought=options) == canonical()


def test_canonical_differs_by_cap_and_tags() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"max_cost_usd": 1},
        {"max_cost_usd": "1.5"},
        {"tags": ["a"]},
        {"tags": ["a", "b"]},
    ]
    assert len({canonical(afterthought=each) for each in variants}) == len(variants)


def test_canonical_keeps_schema_order_and_nulls() -> None:
    """Models answer in the order of the schema."""
    schema = {"type": "object", "properties": {"z": {"const": None}, "a": {"enum": [None, 1, 1.5, True]}}}
    text = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    stored = json.loads(canonical(text=text))["text"]["format"]["schema"]
    assert json.dumps(stored) == json.dumps(schema)


def test_hash_differs_by_request() -> None:
    requests: list[dict[str, Any]] = [
        {},
        {"input": "What?"},
        {"model": "o1"},
        {"temperature": 1},
        {"metadata": {"a": "b"}},
    ]
    hashes = {body.body_hash(canonical(**changes)) for changes in requests}
    assert len(hashes) == len(requests)
    assert all(len(each) == 64 for each in hashes)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0aef1.-+eE \n', max_size=60).map(str.encode))
def test_any_bytes_parse_or_are_refused(content: bytes) -> None:
    try:
        body.parse(content)
    except InvalidRequest as refused:
        refused.message.encode()
        (refused.param or "").encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.text(min_size=1), st.text())
def test_request_round_trip(parameters: dict[str, Any], text: str, instructions: str) -> None:
    sent = {
        "model": "o3",
        "input": text,
        "instructions": instructions,
        "tools": [{"type": "function", "name": "f", "parameters": parameters, "strict": False}],
    }
    try:
        request = body.parse(json.dumps(sent).encode())
    except InvalidRequest as refused:
        assert "NUL" in refused.message  # noqa: PT017  the only reason to refuse it
        return
    stored = body.canonical(request)
    assert json.loads(stored) == sent
    assert body.canonical(body.parse(stored)) == stored
