"""The stand-in's answers: exact arithmetic, a linear equation, or a sentence that says that this is a stand-in."""

import ast
import re
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from fractions import Fraction

MAX_CHARACTERS = 200
MAX_BITS = 1000  # so that every result also fits into a float
CANNOT = (
    "I am a stand-in, not a language model. I only do arithmetic (What is 17 * 24?) and solve linear equations "
    "(Solve for x: 3x + 7 = 52)."
)
OPENING = re.compile(r"^(please )?(what is|what's|how much is|calculate|compute|evaluate|solve)\b( for [a-z]\b)?:?")
SIGNS = {"times": "*", "divided by": "/", "plus": "+", "minus": "-", "×": "*", "·": "*", "÷": "/", "−": "-", "^": "**"}

Linear = tuple[Fraction, Fraction]
"""(a, b) stands for a + b * x, where x is the unknown."""


@dataclass(frozen=True)
class Answer:
    """`value` is the result, or the value of the unknown; None if nothing was computed."""

    text: str
    value: Fraction | None = None


class NotComputableError(Exception):
    """The text is not an expression that this module can compute."""


def answer(question: str) -> Answer:
    """Compute the last line of the question. Takes bounded time for any text."""
    try:
        return compute(question.strip().rpartition("\n")[2].lower())
    except (NotComputableError, SyntaxError, ZeroDivisionError):
        return Answer(CANNOT)


def compute(line: str) -> Answer:
    text = OPENING.sub("", line).strip(" ?.=")
    for word, sign in SIGNS.items():
        text = text.replace(word, sign)
    # No word is left, so the parser below cannot find a Python keyword or name.
    if len(line) > MAX_CHARACTERS or not re.fullmatch(r"[0-9a-z .+\-*/%()=]+", text) or re.search("[a-z]{2}", text):
        raise NotComputableError
    # `3x` and `2(x + 1)` are products. `1e9` then is a product too, not a number.
    product = re.sub(r"(?<=[0-9.)]) *(?=[a-z(])", "*", text)
    sides = [evaluate(ast.parse(side.strip(), mode="eval").body, side.strip()) for side in product.split("=")]
    match sides, sorted(set(re.findall("[a-z]", text))):
        case [(value, _)], []:
            return Answer(f"{text} = {show(value)}", value)
        case [(a, b), (c, d)], [unknown]:
            value = (c - a) / (b - d)
            return Answer(f"{unknown} = {show(value)}", value)
    raise NotComputableError


def evaluate(node: ast.expr, source: str) -> Linear:
    match node:
        case ast.Constant():
            return Fraction(source[node.col_offset : node.end_col_offset]), Fraction(0)
        case ast.Name(id=name) if len(name) == 1:
            return Fraction(0), Fraction(1)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            a, b = evaluate(operand, source)
            return -a, -b
        case ast.BinOp(left=left, op=operator, right=right):
            return combine(evaluate(left, source), operator, evaluate(right, source))
    raise NotComputableError


def combine(left: Linear, operator: ast.operator, right: Linear) -> Linear:
    (a, b), (c, d) = left, right
    match operator:
        case ast.Add():
            return a + c, b + d
        case ast.Sub():
            return a - c, b - d
        case ast.Mult() if not (b and d):
            return a * c, a * d + b * c
        case ast.Div() if not d:
            return a / c, b / c
        # The size is checked before the power is computed.
        case ast.Pow() if not (b or d) and c.denominator == 1 and bits(a) * abs(c) <= MAX_BITS:
            return a ** int(c), Fraction(0)
    raise NotComputableError


def bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def show(value: Fraction) -> str:
    """A decimal number if that is exact, else a fraction."""
    if bits(value) > MAX_BITS:
        raise NotComputableError
    try:
        return f"{Context(prec=50, traps=[Inexact]).divide(Decimal(value.numerator), Decimal(value.denominator)):f}"
    except Inexact:
        return str(value)
