"""What the stand-in can answer: it computes, shows its steps, and says so plainly where it cannot compute."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from local.standin.algebra import solve
from local.standin.answers import Answer
from local.standin.arithmetic import (
    MalformedError,
    NotComputableError,
    Parser,
    TooLargeError,
    constant,
    show,
    spans,
)
from local.standin.questions import RULES

MAX_QUESTION = 4000
CANNOT = (
    "I am a stand-in, not a language model: I only compute. I do arithmetic, equations with one or two unknowns, "
    "primes, factors, divisors, roots and the letters of a word, and I found nothing of the kind in this question."
)
# Around these words there is arithmetic that would be computed right and still answer the wrong question.
BEYOND = re.compile(
    r"\b(?:sin|cos|tan|arc\w+|log|ln|exp|integral|integrate|derivative|differentiate|limit|matrix|vector|modulus|"
    r"cube root|nth root|probability|inequality|complex|factorial|digits?)\b|\d!(?!=)"
)


def answer(question: str) -> Answer:
    """Answer a question of any length in bounded time: of a long one only the last whole lines are read."""
    try:
        text = normal(last_lines(question.strip()))
        for rule, respond in RULES:
            if found := rule.search(text):
                return respond(found)
        if BEYOND.search(text):
            return Answer(CANNOT)
        sums = in_symbols(text)
        return solve_equations(sums) or compute(sums) or Answer(CANNOT)
    except TooLargeError as error:
        return Answer(f"I am a stand-in that only computes, and this is beyond my bounds: {error}.")
    except NotComputableError as error:
        return Answer(f"I am a stand-in that only computes, and I cannot compute this: it holds {error}.")


def last_lines(question: str) -> str:
    if len(question) <= MAX_QUESTION:
        return question
    # Half an expression would be computed to a wrong answer, so the cut is at a line's end or the question is refused.
    _, newline, lines = question[-MAX_QUESTION:].partition("\n")
    if not newline:
        raise TooLargeError(f"a line of more than {MAX_QUESTION} characters")
    return lines


def normal(text: str) -> str:
    text = text.lower().translate(str.maketrans("×·÷−–’“”", '**/--\'""'))
    return text.replace("²", "**2").replace("³", "**3").replace("√", "square root of ")


WORDS: Sequence[tuple[str, str]] = (
    (r"'(?:s|t|re|m|ll|d)\b", " "),
    (r"(?<![\d.])(\d[\d.]*) ?(?:%|percent) of (?=[\d(])", r"(\1/100)*"),
    (r"\b(?:sum|total) of (-?\d[\d.]*) and (-?\d[\d.]*)", r"(\1)+(\2)"),
    (r"\bproduct of (-?\d[\d.]*) and (-?\d[\d.]*)", r"(\1)*(\2)"),
    (r"\bdifference (?:of|between) (-?\d[\d.]*) and (-?\d[\d.]*)", r"(\1)-(\2)"),
    (r"\bquotient of (-?\d[\d.]*) and (-?\d[\d.]*)", r"(\1)/(\2)"),
    (r"(?:\bthe )?\bsquare root of\b|\bsqrt\b", "√"),
    (r"\b(?:multiplied by|times)\b", "*"),
    (r"\b(?:divided by|over)\b", "/"),
    (r"\b(?:plus|added to)\b", "+"),
    (r"\bminus\b", "-"),
    (r"\b(?:raised to the power of|raised to the power|raised to|to the power of|to the power)\b", "**"),
    (r"\bsquared\b", "**2"),
    (r"\bcubed\b", "**3"),
    (r"\b(?:modulo|mod)\b", "%"),
    (r"\b(?:equals|is equal to)\b", "="),
    (r"(?<=\d) ?x ?(?=\d)", "*"),
)


UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SPELT = {word: number for number, word in enumerate(UNITS.split())}
SPELT |= {word: number * 10 for number, word in enumerate(TENS.split(), 2)}
SPELT_NUMBER = rf"\b(?:{'|'.join(SPELT)})(?:-(?:{'|'.join(UNITS.split()[1:10])}))?\b"


def in_symbols(text: str) -> str:
    """The words for operations as their signs, and spelt numbers beside a sign as digits."""
    for words, symbol in WORDS:
        text = re.sub(words, symbol, text)
    beside = rf"{SPELT_NUMBER}(?= ?[-+*/%^])|(?<=[-+*/%^]) ?{SPELT_NUMBER}"
    return re.sub(beside, lambda found: str(sum(SPELT[word] for word in found[0].strip().split("-"))), text)


# What prose leaves at the ends of an expression. No number and no operation: without one it would be another sum.
EDGES = frozenset({"(", ")", "=", "a", "i"})


def trimmed(span: list[str]) -> Iterator[list[str]]:
    """The span, then what is left of it without up to three such tokens at either end."""
    yield span
    for cut in range(1, 7):
        for start in range(max(0, cut - 3), min(cut, 3) + 1):
            end = len(span) - (cut - start)
            if start < end and EDGES.issuperset(span[:start] + span[end:]):
                yield span[start:end]


def compute(text: str) -> Answer | None:
    """The longest expression in the text. Raises NotComputableError where that is one without a value in bounds."""
    for span in sorted(spans(text), key=len, reverse=True):
        for tokens in trimmed(span):
            if not worth_computing(tokens):
                continue
            parser = Parser(tokens)
            try:
                value = constant(parser.parse())
            except MalformedError:
                continue
            if value is not None and parser.steps:
                return Answer(f"The answer is {show(value)}.", tuple(parser.steps), value)
    return None


def worth_computing(tokens: list[str]) -> bool:
    # A leading plus is the rest of something whose first part was in words.
    return len(tokens) >= 3 and tokens[0] != "+" and any(token[0].isdigit() for token in tokens)


def solve_equations(text: str) -> Answer | None:
    """The equations in the text solved for their unknowns, and an expression in the same unknown worked out after."""
    equations: list[list[str]] = []
    others: list[list[str]] = []
    for span in spans(text):
        (equations if span.count("=") == 1 else others).append(span)
    solution = solve([tokens for span in equations if (tokens := equation(span))])
    if solution is None:
        return None
    steps, values = list(solution.steps), dict(solution.values)
    if len(values) == 1:
        ((name, known),) = values.items()
        for span in reversed(others):
            if name in span and len(span) > 1 and (worked := substituted(span, name, known)):
                return Answer(
                    f"The answer is {show(worked.value or Fraction(0))}.", (*steps, *worked.steps), worked.value
                )
    return solution


def equation(span: list[str]) -> list[str] | None:
    for tokens in trimmed(span):
        if "=" not in tokens or not any(token.isalpha() for token in tokens):
            continue
        middle = tokens.index("=")
        try:
            Parser(tokens[:middle]).parse()
            Parser(tokens[middle + 1 :]).parse()
        except MalformedError:
            continue
        return tokens
    return None


def substituted(span: list[str], name: str, known: Fraction) -> Answer | None:
    sign = ["-"] if known < 0 else []
    tokens: list[str] = []
    for token in span:
        tokens += (
            ["(", *sign, str(abs(known.numerator)), "/", str(known.denominator), ")"] if token == name else [token]
        )
    try:
        value = constant(Parser(tokens).parse())
    except NotComputableError:
        return None
    return None if value is None else Answer("", (f"With {name} = {show(known)}: {show(value)}",), value)
