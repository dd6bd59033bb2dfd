"""A real tokenizer does not count more tokens than the computed maximum, in any rendering of the prompt."""

import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("rs_bpe", reason="has no release for this Python")

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rs_bpe import openai

from afterthought.catalogue import default_catalogue
from afterthought.domain.request import body, rendering
from afterthought.domain.request.max_cost import max_input_tokens
from tests.simulator import prompts

O200K, CL100K = openai.o200k_base(), openai.cl100k_base()
UNLIMITED_MODEL = default_catalogue().models["gpt-5.5"].model_copy(update={"context_window_input": 10**12})
FORMS = pytest.mark.parametrize("form", prompts.FORMS)


# On a busy machine, generating large requests takes longer than hypothesis allows by default.
SLOW_STRATEGY = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def count(text: str) -> int:
    """The tokens by the vocabulary of the catalogue's models or by an older one, whichever has more."""
    return max(int(O200K.count(text)), int(CL100K.count(text)))


def tokens(request: dict[str, Any], form: prompts.Form) -> int:
    """The tokens of the whole prompt. The text between two markers is tokenized separately."""
    total, text = 0, ""
    for piece in prompts.prompt(request, form):
        if piece is None:
            total, text = total + count(text) + 1, ""
        else:
            text += piece
    return total + count(text)


def maximum(request: dict[str, Any]) -> int:
    return max_input_tokens(body.parse(json.dumps({"model": "any", **request}).encode()), UNLIMITED_MODEL)


HARD_TEXTS = [
    "<|endoftext|>",
    "<|start|>system<|message|>",
    "<|im_start|>",
    "\n\n\n",
    "\r\n",
    " \t ",
    "\f",
    "\x1b\x01",
    "\x85",
    "\u2028\u200b\ufeff",
    "0123456789" * 5,
    "e\u0301\u0323\u0308",
    "👩\u200d👩\u200d👧\u200d👦",
    "🇩🇪🏴\U000e0067\U000e0062",
    "\U0010ffff\ue000",
    "\ufdfa",
    "\u1100\uac01\u11a8",
    "பொருள்",
    "䷀䷁",
    "áàăâ",
    "Zẍ" * 9,
    "A" * 40,
    '\\"\\\\',
    '"',
    "//",
    "}{",
]
plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
texts = st.lists(plain | st.sampled_from(HARD_TEXTS), max_size=5).map("".join)
names = st.text("abcXYZ_-09", min_size=1, max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
described = st.fixed_dictionaries(
    {},
    optional={
        "description": texts,
        "title": texts,
        "default": json_values,
        "examples": st.lists(json_values, max_size=3),
        "nullable": st.booleans(),
        "pattern": texts,
        "minimum": st.floats(allow_nan=False, allow_infinity=False),
    },
)


def _types(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    schema_lists = st.lists(inner, min_size=1, max_size=3)
    properties = st.dictionaries(texts, inner, max_size=4)
    return st.one_of(
        st.builds(lambda base, each: {"type": "array", "items": each, **base}, described, inner),
        st.builds(lambda base, each: {"oneOf": each, **base}, described, schema_lists),
        st.builds(lambda base, each: {"anyOf": each, **base}, described, schema_lists),
        st.builds(
            lambda base, each: {"type": "object", "properties": each, "required": list(each)[:2], **base},
            described,
            properties,
        ),
    )


leaves = st.one_of(
    st.builds(
        lambda base, kind: {**base, "type": kind}, described, st.sampled_from(["string", "number", "null", [], ""])
    ),
    st.builds(
        lambda base, values: {**base, "type": "string", "enum": values}, described, st.lists(scalars, max_size=6)
    ),
    st.builds(lambda name: {"$ref": f"#/$defs/{name}"}, st.sampled_from("ab")),
    json_values,
)
schemas = st.recursive(leaves, _types, max_leaves=6)
roots = st.builds(
    lambda root, a, b: {"type": "object", "properties": {"r": root}, "$defs": {"a": a, "b": b}},
    schemas,
    schemas,
    schemas,
)

parts = st.one_of(
    st.builds(lambda text: {"type": "input_text", "text": text}, texts),
    st.builds(lambda text: {"type": "output_text", "text": text}, texts),
    st.builds(lambda text: {"type": "refusal", "refusal": text}, texts),
)
contents = texts | st.lists(parts, max_size=3)
call_ids = st.sampled_from(["c", "call_" + "9f" * 12])
arguments = texts | json_values.map(json.dumps) | json_values.map(lambda value: json.dumps(value, ensure_ascii=False))
items = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("message"),
            "role": st.sampled_from(["user", "assistant", "system", "developer"]),
            "content": contents,
        },
        optional={"phase": st.sampled_from(["commentary", "final_answer"])},
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "call_id": call_ids, "name": names, "arguments": arguments}
    ),
    st.fixed_dictionaries({"type": st.just("custom_tool_call"), "call_id": call_ids, "name": names, "input": texts}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["function_call_output", "custom_tool_call_output"]),
            "call_id": call_ids,
            "output": contents,
        }
    ),
)
tools = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("function"), "name": names}, optional={"description": texts, "parameters": roots}
    ),
    st.fixed_dictionaries(
        {"type": st.just("custom"), "name": names},
        optional={
            "description": texts,
            "format": st.builds(lambda text: {"type": "grammar", "syntax": "lark", "definition": text}, texts),
        },
    ),
)
requests = st.fixed_dictionaries(
    {"input": texts.filter(bool) | st.lists(items, min_size=1, max_size=5)},
    optional={
        "instructions": texts,
        "tools": st.lists(tools, max_size=3),
        "text": st.builds(
            lambda name, described, schema: {
                "format": {"type": "json_schema", "name": name, "schema": schema, "description": described}
            },
            names,
            texts,
            roots,
        ),
    },
)


def test_tokenizers_are_the_expected_ones() -> None:
    assert O200K.encode("tiktoken is great!") == [83, 8251, 2488, 382, 2212, 0]
    assert CL100K.encode("tiktoken is great!") == [83, 1609, 5963, 374, 2294, 0]


@settings(SLOW_STRATEGY)
@given(request=requests)
def test_request_stays_within_maximum(request: dict[str, Any]) -> None:
    limit = maximum(request)
    for form in prompts.FORMS:
        assert tokens(request, form) <= limit, form


@settings(SLOW_STRATEGY)
@given(schema=roots)
def test_schema_stays_within_maximum(schema: dict[str, Any]) -> None:
    """With and without references. Ten copies, so that other margins do not hide an excess."""
    ten = {"type": "object", "properties": {f"p{number}": schema["properties"]["r"] for number in range(10)}}
    root = {**ten, "$defs": schema["$defs"]}
    limit = rendering.max_json_bytes(root, 10**12)
    for form in prompts.FORMS:
        assert count(prompts.schema(root, form)) <= limit, form
        assert count(prompts.schema(prompts.inlined(root, root), form)) <= limit, form


@settings(max_examples=200, deadline=None)
@given(text=texts)
def test_text_stays_within_maximum(text: str) -> None:
    assert count(text) <= len(text.encode()) <= rendering.max_quoted_bytes(text)
    assert count(json.dumps(text)) <= rendering.max_quoted_bytes(text)
    commented = "".join(f"    // {line}\n" for line in text.split("\n"))
    for form in (json.dumps(json.dumps(text)), json.dumps(text + text), commented, commented + json.dumps(text)[1:-1]):
        assert count(form) <= rendering.max_rewritten_bytes(text) + len("    // \n")


@settings(max_examples=100, deadline=None)
@given(value=json_values)
@example(value=[1e15] * 50)
@example(value=[1e300, -5e-324, 123456789.0] * 20)
@example(value=[[]] * 50)
def test_arguments_stay_within_maximum(value: Any) -> None:
    for arguments in (json.dumps(value), json.dumps(value, ensure_ascii=False, separators=(",", ":"))):
        limit = rendering.max_arguments_bytes(arguments, 10**12)
        for parsed in (value, _without_exponents(value)):
            for form in (json.dumps(parsed), json.dumps(parsed, indent=4), json.dumps(json.dumps(parsed))):
                assert count(form) <= limit


def _without_exponents(value: Any) -> Any:
    """Large numbers as JavaScript may write them: all digits, no exponent."""
    if isinstance(value, list):
        return [_without_exponents(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _without_exponents(inner) for key, inner in value.items()}
    return int(value) if isinstance(value, float) and abs(value) >= 1e15 else value


def _nested(levels: int, parent_of: Callable[[Any], Any]) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = parent_of(schema)
    return schema


MANY = 400
HARD_SCHEMAS: dict[str, Any] = {
    "a long enum": {"type": "string", "enum": [f"value {number}" for number in range(MANY)]},
    "an enum of empty texts": {"type": "string", "enum": [""] * MANY},
    "an enum of digits": {"enum": [10**number for number in range(MANY)]},
    "an enum of floats": {"enum": [10.0 ** (number - 150) for number in range(300)]},
    "an enum of emoji": {"enum": ["👩‍👩‍👧‍👦"] * MANY},
    "empty descriptions": {"type": "object", "properties": {f"p{n}": {"type": "string", "title": "", "description": ""}
                                                            for n in range(MANY)}},
    "empty properties": {"type": "object", "properties": {chr(97 + n % 26) * (n // 26 + 1): {} for n in range(60)}},
    "empty lines, twice": _nested(5, lambda inner: {"type": "object", "description": "\n" * MANY,
                                                         "properties": {"a": inner}}),
    "a token a byte, twice": {"type": "object", "properties": {"a": {"type": "object", "description": "1 2 " * MANY}}},
    "deep objects": _nested(18, lambda inner: {"type": "object", "description": "", "properties": {"a": inner}}),
    "deep arrays": _nested(56, lambda inner: {"type": "array", "items": inner}),
    "deep brackets": _nested(56, lambda inner: [inner, []]),
    "deep unions": _nested(28, lambda inner: {"oneOf": [inner, {"type": "null"}]}),
    "defaults": {"type": "object", "properties": {f"p{n}": {"type": "string", "nullable": True, "default": ""}
                                                  for n in range(MANY)}},
    "empty": {},
    "brackets": [[]] * MANY,
    "braces": [{}] * MANY,
    "truths": [True, None] * MANY,
}  # fmt: skip


@FORMS
@pytest.mark.parametrize("kind", HARD_SCHEMAS)
def test_hard_schema_stays_within_maximum(kind: str, form: prompts.Form) -> None:
    schema = HARD_SCHEMAS[kind]
    limit = rendering.max_json_bytes(schema, 10**12)
    assert count(prompts.schema(schema, form)) <= limit


def test_definition_counts_at_each_reference() -> None:
    long = {"type": "string", "description": "1 2 " * MANY}
    referring = {"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": long}, "anyOf": [{"$ref": "#/$defs/a"}] * 40}
    limit = rendering.max_json_bytes(referring, 10**12)
    assert 40 * count(long["description"]) < count(json.dumps(prompts.inlined(referring, referring))) <= limit


@pytest.mark.parametrize("reference", ["#/$defs/a~1b", "#/%24defs/a~1b", "#/anyOf/1"])
def test_references_are_json_pointers(reference: str) -> None:
    target = {"description": "x" * 5000}
    schema = {"$defs": {"a/b": target}, "anyOf": [{"$ref": reference}, target]}
    plain = rendering.max_json_bytes({**schema, "anyOf": [{"$ref": "#/nowhere"}, target]}, 10**12)
    assert rendering.max_json_bytes(schema, 10**12) > plain + 5000


@pytest.mark.parametrize(
    "reference", ["", "#/", "#/anyOf/9", "#/anyOf/x", "#/anyOf/" + "9" * 5000, "other.json#/a", "#/a/b"]
)
def test_dangling_reference_is_text(reference: str) -> None:
    assert 0 < rendering.max_json_bytes({"a": 1, "anyOf": [{"$ref": reference}]}, 10**12) < 12_000


def test_recursive_and_exponential_references_end() -> None:
    tree = {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"kids": {"items": {"$ref": "#/$defs/n"}}}}}}
    assert rendering.max_json_bytes(tree, 100_000) < 1_000
    assert rendering.max_json_bytes({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}, 100_000) < 1_000
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    assert rendering.max_json_bytes({"$ref": "#/$defs/d0", "$defs": definitions}, 100_000) == 100_000
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(9_000)}
    assert rendering.max_json_bytes({"$ref": "#/$defs/d0", "$defs": chain}, 10**12) == 10**12


def test_maximum_of_a_typical_request_is_useful() -> None:
    """A maximum far above the real tokens would refuse jobs that fit the budget."""
    parameters = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city and its country, e.g. Paris, France"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": "array", "items": {"type": "integer"}, "description": "How many days ahead."},
        },
        "required": ["city"],
    }
    request = {
        "instructions": "Answer shortly, and call a tool where one helps. " * 40,
        "input": "What will the weather be like in the cities of the north? " * 40,
        "tools": [
            {"type": "function", "name": f"weather_{n}", "description": "The weather.", "parameters": parameters}
            for n in range(10)
        ],
    }
    assert maximum(request) < 12 * tokens(request, "typescript")
