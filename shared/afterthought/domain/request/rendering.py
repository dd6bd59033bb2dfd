"""Upper bounds for the tokens of texts and JSON schemas that the provider renders in another form.

Each function returns a number of bytes that no rendering exceeds. A byte-level BPE never has more tokens than bytes.
The renderings considered are those of the model families with public templates: JSON, compact or indented, with or
without escapes for non-ASCII characters; TypeScript types in a namespace, with titles, descriptions, examples and
defaults as comments; and either of them inside a JSON string.
"""

import json
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

_PER_VALUE = 12
_PER_LINE = 8
_MAX_COPIES = 2
_MAX_NESTED_REFERENCES = 64


def max_quoted_bytes(text: str) -> int:
    """The size as a JSON string with all non-ASCII characters escaped; never less than the size in UTF-8."""
    return len(json.dumps(text))


def max_rewritten_bytes(text: str) -> int:
    """The size where providers use a form of their own: escaped, and either escaped twice or repeated, with a line
    break, an indentation and a comment sign before each line."""
    return _MAX_COPIES * max_quoted_bytes(text) + _PER_LINE * sum(map(text.count, "\n\r\f"))


def max_json_bytes(root: Any, limit: int) -> int:
    """The size of a JSON value, such as the schema of a tool or an answer, in any rendering; at most `limit`.

    JSON or TypeScript adds colons, commas, brackets, line breaks and indentation to each value, `_PER_VALUE` at most.
    (These tokenizers encode an indentation as one token, or a few if it is deep.) Keys and texts may be rewritten: a
    description may appear above a property and again in its type. Numbers count with all digits, without exponent.

    A reference (`$ref`) may be replaced by its target wherever it occurs, so the target counts each time. A recursive
    reference cannot be replaced endlessly and stops at its first repetition. Very deeply nested references count as
    `limit`.
    """
    # Every value is counted before it is pushed, so `limit` also bounds the stack.
    total = _PER_VALUE
    stack: list[tuple[Any, tuple[int, ...]]] = [(root, ())]
    while stack and total < limit:
        value, replaced = stack.pop()
        if isinstance(value, dict):
            total += sum(map(max_rewritten_bytes, value)) + _PER_VALUE * len(value)
            stack.extend((inner, replaced) for inner in value.values())
            if isinstance(reference := value.get("$ref"), str):
                target = _resolve(root, reference)
                if id(target) not in replaced:
                    if len(replaced) == _MAX_NESTED_REFERENCES:
                        return limit
                    total += _PER_VALUE
                    stack.append((target, (*replaced, id(target))))
        elif isinstance(value, list):
            total += _PER_VALUE * len(value)
            if total < limit:
                stack.extend((inner, replaced) for inner in value)
        elif isinstance(value, str):
            total += max_rewritten_bytes(value)
        elif isinstance(value, float):
            total += len(format(Decimal(repr(value)), "f"))
        else:
            total += len(json.dumps(value))
    return min(total, limit)


def max_arguments_bytes(text: str, limit: int) -> int:
    """The size of the arguments of a call: JSON in a string, rendered unchanged or parsed and written again."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    return max(max_rewritten_bytes(text), max_json_bytes(parsed, limit))


def _resolve(root: Any, reference: str) -> Any:
    """The target of a JSON pointer (RFC 6901, as URI fragment) in the schema; None if there is none."""
    if not reference.startswith("#"):
        return None
    target = root
    for step in unquote(reference).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, dict):
            target = target.get(name)
        elif isinstance(target, list) and name.isdecimal() and len(name) < 9 and int(name) < len(target):
            target = target[int(name)]
        else:
            return None
    return target
