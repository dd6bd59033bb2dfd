"""How many tokens a text or a schema can take when the provider gives it another form.

Each function counts bytes that no form exceeds, and a byte-level BPE has no more tokens than bytes. The forms are those
of the model families whose templates are public: JSON, compact or indented, with all that is not ASCII escaped or not;
TypeScript types in a namespace, with titles, descriptions, examples and defaults as comments; and either of them within
a JSON string.
"""

import json
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

_PER_VALUE = 12
_PER_LINE = 8
_TIMES_REWRITTEN = 2
_MOST_REFERENCES = 64


def quoted_at_most(text: str) -> int:
    """The bytes of a text as a JSON string, all that is not ASCII escaped: never fewer than its UTF-8."""
    return len(json.dumps(text))


def rewritten_at_most(text: str) -> int:
    """Of a text in a place where providers use their own form: escaped, and that twice or the text given twice, each of
    its lines behind a line break, an indentation and a comment sign."""
    return _TIMES_REWRITTEN * quoted_at_most(text) + _PER_LINE * sum(map(text.count, "\n\r\f"))


def structure_at_most(root: Any, most: int) -> int:
    """Of a tool's or an answer's JSON schema, whatever form the provider gives it.

    It may come as JSON (compact, or a line for each value) or as TypeScript types: around each value there may be a
    colon, a comma, brackets, line breaks and indentations, together within `_PER_VALUE`. (An indentation is a run of
    blanks, which these tokenizers have as one token, or few where it is deep.) Keys and texts may be rewritten, so a
    description may stand above a property and again in its type. Numbers count all digits that they have without an
    exponent.

    A reference may be replaced by what it refers to, in every place where it stands: so does the count. What refers to
    itself cannot be replaced without end, and ends at its first repetition. More than a few references within one
    another count as the context window.
    """
    # Whatever lies on the stack has been counted for, so that it cannot grow beyond what the window holds.
    total = _PER_VALUE
    stack: list[tuple[Any, tuple[int, ...]]] = [(root, ())]
    while stack and total < most:
        value, replaced = stack.pop()
        if isinstance(value, dict):
            total += sum(map(rewritten_at_most, value)) + _PER_VALUE * len(value)
            stack.extend((inner, replaced) for inner in value.values())
            if isinstance(reference := value.get("$ref"), str):
                target = _resolve(root, reference)
                if id(target) not in replaced:
                    if len(replaced) == _MOST_REFERENCES:
                        return most
                    total += _PER_VALUE
                    stack.append((target, (*replaced, id(target))))
        elif isinstance(value, list):
            total += _PER_VALUE * len(value)
            if total < most:
                stack.extend((inner, replaced) for inner in value)
        elif isinstance(value, str):
            total += rewritten_at_most(value)
        elif isinstance(value, float):
            total += len(format(Decimal(repr(value)), "f"))
        else:
            total += len(json.dumps(value))
    return min(total, most)


def arguments_at_most(text: str, most: int) -> int:
    """Of a call's arguments: JSON in a string, which may be given as it is, or parsed and written anew."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    return max(rewritten_at_most(text), structure_at_most(parsed, most))


def _resolve(root: Any, reference: str) -> Any:
    """What a JSON pointer (RFC 6901, in a URI fragment) refers to in the schema; None where it leads nowhere."""
    if not reference.startswith("#"):
        return None
    found = root
    for step in unquote(reference).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and len(name) < 9 and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found
