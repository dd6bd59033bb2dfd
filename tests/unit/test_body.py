"""From bytes to a checked request, or to one error that names the field."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterthought.domain.errors import BodyTooLarge, InvalidRequest, RequestRefused
from afterthought.domain.request import body

QUESTION = {"model": "o3", "input": "Why?"}


def raw(**changes: Any) -> bytes:
    return json.dumps({**QUESTION, **changes}).encode()


def refusal(content: bytes) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        body.read(content)
    return caught.value


def nested(levels: int) -> dict[str, Any]:
    inside: dict[str, Any] = {}
    for _ in range(levels):
        inside = {"properties": inside}
    return {"type": "function", "name": "f", "parameters": inside}


def test_the_largest_body_is_read_and_one_byte_more_is_not() -> None:
    frame = len(raw(input=""))
    fits = raw(input="x" * (body.MAX_BODY_BYTES - frame))
    assert len(fits) == body.MAX_BODY_BYTES
    assert len(str(body.read(fits).input)) == body.MAX_BODY_BYTES - frame
    with pytest.raises(BodyTooLarge):
        body.read(fits + b" ")


def test_the_size_is_judged_before_anything_is_parsed() -> None:
    with pytest.raises(BodyTooLarge):
        body.read(b"\xff" * (body.MAX_BODY_BYTES + 1))


def test_the_byte_that_is_no_utf_8_is_told() -> None:
    refused = refusal(b'{"model": "\xff"}')
    assert refused.code == "invalid_json"
    assert "byte 11" in refused.message


def test_the_place_that_is_no_json_is_told_without_a_piece_of_the_body() -> None:
    refused = refusal(b'{"model": "o3", "input": secret}')
    assert "character 25" in refused.message
    assert "secret" not in refused.message


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "01", "0x1", "1_000", "'a'", "// c", "9" * 5000])
def test_what_javascript_or_python_would_take_is_still_no_json(text: str) -> None:
    assert refusal(f'{{"model": "o3", "input": "x", "temperature": {text}}}'.encode()).code == "invalid_json"


def test_nesting_is_bounded_where_it_begins_to_hurt_and_not_before() -> None:
    # The body, the list of tools, the tool and its parameters are levels too.
    assert body.read(raw(tools=[nested(body.MAX_DEPTH - 3)])).tools
    assert "too deep" in refusal(raw(tools=[nested(body.MAX_DEPTH - 2)])).message
    assert "too deep" in refusal(b'{"model":' + b"[" * 200_000).message


def test_members_are_bounded_where_errors_would_be_many_and_not_before() -> None:
    wide: dict[str, Any] = {str(number): {} for number in range(body.MAX_MEMBERS)}
    assert body.read(raw(tools=[{"type": "function", "name": "f", "parameters": wide}])).tools
    refused = refusal(raw(tools=[{"type": "function", "name": "f", "parameters": {**wide, "more": 1}}]))
    assert refused.param == "tools[0].parameters"
    assert str(body.MAX_MEMBERS) in refused.message
    assert refusal(raw(**wide)).param is None


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
def test_a_text_that_nothing_could_carry_is_named_by_its_path(changes: dict[str, Any], param: str) -> None:
    refused = refusal(raw(**changes))
    assert refused.param == param
    refused.message.encode()


def test_a_number_beyond_all_numbers_is_named_by_its_path() -> None:
    content = b'{"model":"o3","input":"x","tools":[{"type":"function","name":"f","parameters":{"maximum":1e999}}]}'
    assert refusal(content).param == "tools[0].parameters.maximum"


def test_a_path_is_cut_before_it_is_longer_than_its_message() -> None:
    refused = refusal(raw(metadata={"k" * 100_000: "\0"}))
    assert len(refused.param or "") < 100
    assert len(refused.message) < 200


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_a_reference_to_the_provider_is_refused_and_a_null_is_none(name: str) -> None:
    refused = refusal(raw(**{name: "x"}))
    assert (refused.param, refused.code) == (name, "unsupported_parameter")
    assert body.read(raw(**{name: None})) == body.read(raw())


def test_of_two_equal_names_the_last_counts_as_everywhere() -> None:
    assert body.read(b'{"model":"o1","model":"o3","input":"x"}').model == "o3"


def test_only_one_error_is_told_and_the_first() -> None:
    refused = refusal(raw(model=1, temperature="hot", unknown=True))
    assert refused.param == "model"


@pytest.mark.parametrize("value", [1, 0, "true", "false", [], {}])
@pytest.mark.parametrize("name", ["store", "stream", "background", "parallel_tool_calls"])
def test_what_only_looks_like_a_boolean_is_none(name: str, value: object) -> None:
    assert refusal(raw(**{name: value})).param == name


def test_the_canonical_form_is_the_same_whatever_the_order_and_the_spacing() -> None:
    one = b'{"model":"o3","input":"\\u0078","reasoning":{"effort":"low","summary":"auto"},"user":null}'
    other = b' { "reasoning" : {"summary":"auto", "effort":"low"},\n"input":"x","model":"o3" } '
    assert body.canonical(body.read(one)) == body.canonical(body.read(other))


def test_ours_in_canonical_form_is_the_same_however_it_is_written() -> None:
    one = {"tags": ["team:b", "team:a"], "max_cost_usd": "0.50"}
    for other in ({**one, "tags": ["team:a", "team:b"]}, {**one, "max_cost_usd": "0.5"}, {**one, "webhook_url": None}):
        assert body.canonical(body.read(raw(afterthought=other))) == body.canonical(body.read(raw(afterthought=one)))
    assert json.loads(body.canonical(body.read(raw(afterthought=one))))["afterthought"] == {
        "max_cost_usd": "0.5",
        "tags": ["team:a", "team:b"],
    }


@pytest.mark.parametrize("ours", [None, {}, {"tags": []}, {"dry_run": False}, {"dry_run": True}, {"webhook_url": None}])
def test_what_asks_for_nothing_is_the_same_request_as_without_it(ours: dict[str, Any] | None) -> None:
    """A dry run is answered before anything is stored, so it must not make a repeat another request."""
    assert body.canonical(body.read(raw(afterthought=ours))) == body.canonical(body.read(raw()))


def test_another_cap_or_tag_is_another_request() -> None:
    ours: list[dict[str, Any]] = [
        {},
        {"max_cost_usd": 1},
        {"max_cost_usd": "1.5"},
        {"tags": ["a"]},
        {"tags": ["a", "b"]},
    ]
    assert len({body.canonical(body.read(raw(afterthought=each))) for each in ours}) == len(ours)


def test_a_schema_keeps_its_order_and_its_nulls() -> None:
    """Models answer in the schema's order."""
    schema = {"type": "object", "properties": {"z": {"const": None}, "a": {"enum": [None, 1, 1.5, True]}}}
    text = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    kept = json.loads(body.canonical(body.read(raw(text=text))))["text"]["format"]["schema"]
    assert json.dumps(kept) == json.dumps(schema)


def test_another_request_has_another_hash() -> None:
    requests: list[dict[str, Any]] = [
        {},
        {"input": "What?"},
        {"model": "o1"},
        {"temperature": 1},
        {"metadata": {"a": "b"}},
    ]
    hashes = {body.body_hash(body.canonical(body.read(raw(**changes)))) for changes in requests}
    assert len(hashes) == len(requests)
    assert all(len(each) == 64 for each in hashes)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0aef1.-+eE \n', max_size=60).map(str.encode))
def test_no_bytes_raise_anything_but_a_refusal(content: bytes) -> None:
    try:
        body.read(content)
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
def test_what_is_taken_comes_back_as_it_was_sent(parameters: dict[str, Any], question: str, instructions: str) -> None:
    sent = {
        "model": "o3",
        "input": question,
        "instructions": instructions,
        "tools": [{"type": "function", "name": "f", "parameters": parameters, "strict": False}],
    }
    try:
        request = body.read(json.dumps(sent).encode())
    except InvalidRequest as refused:
        assert "NUL" in refused.message  # noqa: PT017  the one thing that no JSON text may hold here
        return
    kept = body.canonical(request)
    assert json.loads(kept) == sent
    assert body.canonical(body.read(kept)) == kept
