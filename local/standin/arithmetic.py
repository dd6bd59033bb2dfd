"""Exact arithmetic on text somebody else wrote: rationals, polynomials of degree two, and a bound on it all."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isqrt

MAX_BITS = 4096
MAX_DEPTH = 64
MAX_DIGITS = 400
MAX_STEPS = 12

Polynomial = Mapping[tuple[str, ...], Fraction]
"""Coefficients by monomial: `()` is the constant, `("x",)` is x, `("x", "x")` is x squared."""


class NotComputableError(Exception):
    """The text is no expression this module can compute. Its message is safe to show: it quotes nothing."""


class TooLargeError(NotComputableError):
    """An expression, but one whose value or size is over the bounds above."""


class MalformedError(NotComputableError):
    """No expression: of a run of tokens in prose, a part may still be one."""


TOKEN = re.compile(
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?(?:e\d{1,3}(?!\d))?|\.\d+|[a-z]+|\*\*|//|[-+*/%^()=]|\s+|.",
    re.DOTALL,
)
OPERATORS = frozenset(["**", "//", "+", "-", "*", "/", "%", "^", "(", ")", "=", "√"])


def is_number(token: str) -> bool:
    return token[-1].isdigit() and token.isascii()


def is_variable(token: str) -> bool:
    return len(token) == 1 and token.isascii() and token.isalpha()


def spans(text: str) -> Iterator[list[str]]:
    """Cut lower-case text into the runs of tokens that could be mathematics; words and other marks end a run."""
    span: list[str] = []
    for token in TOKEN.findall(text):
        if token.isspace() and "\n" not in token:
            continue
        if token in OPERATORS or is_number(token) or is_variable(token):
            span.append(token)
        elif span:
            yield span
            span = []
    if span:
        yield span


def show(value: Fraction) -> str:
    """An integer as it is, a short decimal where it is exact, else the fraction and ten decimals of it."""
    if value.denominator == 1:
        return str(value.numerator)
    fraction = f"{value.numerator}/{value.denominator}"
    for places in range(1, 11):
        if 10**places % value.denominator == 0:
            return decimal(value, places)
    return f"{fraction} (≈ {decimal(value, 10)})"


def decimal(value: Fraction, places: int) -> str:
    """`value` with `places` decimals, rounded half away from zero, without ever going through a float."""
    scaled = (abs(value.numerator) * 10**places * 2 + value.denominator) // (2 * value.denominator)
    whole, part = divmod(scaled, 10**places)
    return f"{'-' if value < 0 else ''}{whole}.{part:0{places}d}"


def exact_root(value: Fraction) -> Fraction | None:
    """The square root of `value` where it is rational."""
    if value < 0:
        return None
    top, bottom = isqrt(value.numerator), isqrt(value.denominator)
    exact = top * top == value.numerator and bottom * bottom == value.denominator
    return Fraction(top, bottom) if exact else None


def near_root(value: Fraction, places: int = 10) -> Fraction:
    """The square root of a value >= 0 to `places` decimals, cut off."""
    scale = 10**places
    return Fraction(isqrt(value.numerator * scale * scale // value.denominator), scale)


def bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise TooLargeError(f"the number would take more than {MAX_BITS} bits")
    return value


def power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        root = exact_root(base) if exponent.denominator == 2 else None
        if root is None:
            raise NotComputableError("a fractional power with no rational value")
        return power(root, exponent * 2)
    if base == 0 and exponent < 0:
        raise NotComputableError("a division by zero")
    times = exponent.numerator
    if base in (0, 1, -1):
        return base ** (abs(times) % 2 or 2) if times else Fraction(1)
    # Before the multiplication, not after: 9**9**9 must be refused without ever being built.
    size = max(abs(base.numerator).bit_length(), base.denominator.bit_length()) - 1
    if abs(times) > MAX_BITS or size * abs(times) > MAX_BITS:
        raise TooLargeError(f"the number would take more than {MAX_BITS} bits")
    return bounded(base**times)


def rational_root(value: Fraction | None) -> Fraction:
    root = None if value is None else exact_root(value)
    if root is None:
        raise NotComputableError("a root with no rational value")
    return root


def constant(value: Polynomial) -> Fraction | None:
    """The value of a polynomial in which no variable is left, else None."""
    return value.get((), Fraction(0)) if all(monomial == () for monomial in value) else None


def combined(left: Polynomial, right: Polynomial, sign: int) -> Polynomial:
    total = dict(left)
    for monomial, coefficient in right.items():
        total[monomial] = bounded(total.get(monomial, Fraction(0)) + sign * coefficient)
    return {monomial: coefficient for monomial, coefficient in total.items() if coefficient}


def multiplied(left: Polynomial, right: Polynomial) -> Polynomial:
    product: dict[tuple[str, ...], Fraction] = {}
    for one, a in left.items():
        for other, b in right.items():
            monomial = tuple(sorted(one + other))
            if len(monomial) > 2:
                raise NotComputableError("an equation of a degree above two")
            product[monomial] = bounded(product.get(monomial, Fraction(0)) + bounded(a * b))
    return {monomial: coefficient for monomial, coefficient in product.items() if coefficient}


@dataclass
class Parser:
    """Recursive descent over tokens; `steps` gathers the first operations between two numbers, in order."""

    tokens: Sequence[str]
    at: int = 0
    depth: int = 0
    steps: list[str] = field(default_factory=list)

    def parse(self) -> Polynomial:
        value = self.sum()
        if self.at < len(self.tokens):
            raise MalformedError("an expression that does not end where it should")
        return value

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self) -> Polynomial:
        value = self.product()
        while self.peek() in ("+", "-"):
            value = self.apply(self.take(), value, self.product())
        return value

    def product(self) -> Polynomial:
        value = self.signed()
        while token := self.peek():
            if token in ("*", "/", "//", "%"):
                value = self.apply(self.take(), value, self.signed())
            elif token in ("(", "√") or is_variable(token):
                value = self.apply("*", value, self.signed())
            else:
                break
        return value

    def signed(self) -> Polynomial:
        negative = False
        while self.peek() in ("+", "-"):
            negative ^= self.take() == "-"
        value = self.raised()
        return multiplied({(): Fraction(-1)}, value) if negative else value

    def raised(self) -> Polynomial:
        value = self.atom()
        if self.peek() in ("**", "^"):
            self.take()
            value = self.apply("**", value, self.nested(self.signed))
        return value

    def atom(self) -> Polynomial:
        token = self.take()
        if token == "(":
            value = self.nested(self.sum)
            if self.take() != ")":
                raise MalformedError("a parenthesis that is never closed")
            return value
        if token == "√":
            return {(): rational_root(constant(self.nested(self.atom)))}
        if token and is_number(token):
            if len(token) > MAX_DIGITS:
                raise TooLargeError(f"a number of more than {MAX_DIGITS} digits")
            return {(): Fraction(token.replace(",", ""))}
        if token and is_variable(token):
            return {(token,): Fraction(1)}
        raise MalformedError("an expression with a part missing")

    def nested(self, part: Callable[[], Polynomial]) -> Polynomial:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLargeError(f"an expression nested deeper than {MAX_DEPTH}")
        value = part()
        self.depth -= 1
        return value

    def apply(self, operator: str, left: Polynomial, right: Polynomial) -> Polynomial:
        a, b = constant(left), constant(right)
        if a is not None and b is not None:
            value = bounded(operate(operator, a, b))
            if len(self.steps) < MAX_STEPS:
                self.steps.append(f"{grouped(a)} {operator} {grouped(b)} = {show(value)}")
            return {(): value}
        if operator in ("+", "-"):
            return combined(left, right, 1 if operator == "+" else -1)
        if operator == "*":
            return multiplied(left, right)
        if operator == "/" and b:
            return multiplied(left, {(): 1 / b})
        if operator == "**" and b == 2:
            return multiplied(left, left)
        if operator == "**" and b == 1:
            return left
        raise NotComputableError("an operation on an unknown that this stand-in does not do")


def grouped(value: Fraction) -> str:
    text = show(value).partition(" (≈")[0]
    return text if value >= 0 and "/" not in text else f"({text})"


def operate(operator: str, a: Fraction, b: Fraction) -> Fraction:
    if operator in ("/", "//", "%") and b == 0:
        raise NotComputableError("a division by zero")
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            return a / b
        case "//":
            return Fraction(a // b)
        case "%":
            return a % b
        case _:
            return power(a, b)


def evaluate(expression: str) -> Fraction:
    """The exact value of an expression in `+ - * / // % ** ^` and parentheses, with Python's precedence.

    Raises NotComputableError (or TooLargeError, its subclass) in time proportional to the text, never anything else.
    """
    found = list(spans(expression.lower()))
    if len(found) != 1:
        raise MalformedError("not one expression")
    value = constant(Parser(found[0]).parse())
    if value is None:
        raise NotComputableError("an expression with an unknown in it")
    return value
