"""Questions in words that have a number, a word or a yes for an answer, each told by a pattern."""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import factorial, gcd, lcm, prod

from local.standin.answers import Answer
from local.standin.arithmetic import TooLargeError, decimal, exact_root, near_root, show


def whole(text: str, most: int = 10**12) -> int:
    digits = text.replace(",", "")
    if len(digits) > len(str(most)) or int(digits) > most:
        raise TooLargeError(f"a number above {most:,}, the most that I take for this")
    return int(digits)


def factors(number: int) -> list[int]:
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1 if divisor == 2 else 2
    return [*found, number] if number > 1 else found


def primes_below(limit: int) -> list[int]:
    sieve = bytearray([1]) * max(limit, 2)
    sieve[:2] = b"\0\0"
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, len(sieve), number)))
    return [number for number in range(limit) if sieve[number]]


def number_answer(text: str, value: int | Fraction, *steps: str) -> Answer:
    return Answer(text, steps, Fraction(value))


def answer_prime(found: re.Match[str]) -> Answer:
    number = whole(found[1])
    parts = factors(number)
    if len(parts) == 1:
        return Answer(f"Yes, {number} is prime.", (f"No number from 2 to {int(number**0.5)} divides {number}.",))
    if number < 2:
        return Answer(f"No, {number} is not prime.", ("A prime is at least 2.",))
    return Answer(f"No, {number} is not prime.", (f"{number} = {' · '.join(map(str, parts))}",))


def answer_factors(found: re.Match[str]) -> Answer:
    number = whole(found[1])
    if number < 2:
        return Answer(f"{number} has no prime factors.")
    parts = factors(number)
    powers = [f"{part}^{parts.count(part)}" if parts.count(part) > 1 else f"{part}" for part in dict.fromkeys(parts)]
    return Answer(f"{number} = {' · '.join(powers)}.", (f"{number} = {' · '.join(map(str, parts))}",))


def answer_divisor(found: re.Match[str]) -> Answer:
    numbers = [whole(digits) for digits in re.findall(r"\d+", found[2])][:20]
    common = found[1].startswith(("gcd", "greatest", "highest", "hcf"))
    value = gcd(*numbers) if common else lcm(*numbers)
    name = "greatest common divisor" if common else "least common multiple"
    steps = [f"{number} = {' · '.join(map(str, factors(number))) or number}" for number in numbers]
    return number_answer(f"The {name} of {', '.join(map(str, numbers))} is {value}.", value, *steps)


def answer_primes(found: re.Match[str]) -> Answer:
    limit = whole(found[3], 10**6) + (found[2] in ("up to", "through"))
    primes = primes_below(limit)
    first = f"There are {len(primes)} of them: {', '.join(map(str, primes[:10]))}{', …' if len(primes) > 10 else ''}"
    if "sum" in found[1]:
        return number_answer(f"The sum is {sum(primes)}.", sum(primes), first)
    return number_answer(f"There are {len(primes)} primes.", len(primes), first)


def answer_series(found: re.Match[str]) -> Answer:
    low, high = whole(found[1]), whole(found[2])
    value = (low + high) * (high - low + 1) // 2
    return number_answer(f"The sum is {value}.", value, f"({low} + {high}) · {high - low + 1} / 2 = {value}")


def answer_root(found: re.Match[str]) -> Answer:
    if len(found[1]) > 300:
        raise TooLargeError("a number of more than 300 digits under a root")
    number = Fraction(found[1].replace(",", ""))
    if (root := exact_root(number)) is not None:
        return number_answer(
            f"The square root of {show(number)} is {show(root)}.", root, f"{show(root)}² = {show(number)}"
        )
    near = near_root(number)
    return number_answer(f"The square root of {show(number)} is about {decimal(near, 10)}.", near, "It is irrational.")


def answer_letters(found: re.Match[str]) -> Answer:
    letter, word = found[1], found[2]
    places = [str(place) for place, other in enumerate(word, 1) if other == letter]
    step = f"{'-'.join(word)}: at {', '.join(places) or 'no place'}"
    return number_answer(
        f'There {"is" if len(places) == 1 else "are"} {len(places)} "{letter}" in "{word}".', len(places), step
    )


def answer_factorial(found: re.Match[str]) -> Answer:
    number = whole(found[1] or found[2], 300)
    return number_answer(f"{number}! = {factorial(number)}.", factorial(number), f"The product of 1 to {number}.")


def answer_digits(found: re.Match[str]) -> Answer:
    digits = [int(digit) for digit in found[2][:300]]
    value = sum(digits) if found[1] == "sum" else prod(digits)
    return number_answer(
        f"The answer is {value}.", value, (" + " if found[1] == "sum" else " · ").join(map(str, digits))
    )


def answer_reversed(found: re.Match[str]) -> Answer:
    word = found[1]
    return Answer(f'"{word[::-1]}"', (f"{'-'.join(word)}, read backwards",))


NUMBER = r"(\d{1,3}(?:,\d{3})+|\d+)"
RULES: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], Answer]]] = tuple(
    (re.compile(pattern), respond)
    for pattern, respond in (
        (
            (
                r"how many (?:times does )?(?:the )?(?:letter )?['\"]?([a-z])['\"]?(?:'?s)? (?:\w+ ){0,3}?"
                r"in (?:the word )?['\"]?([a-z]{1,60})"
            ),
            answer_letters,
        ),
        (r"\brevers(?:e|ing) (?:of )?(?:the )?(?:word |string )?['\"]?([a-z]{2,60})", answer_reversed),
        (rf"\b(?:is|whether) {NUMBER} (?:is )?(?:a )?prime", answer_prime),
        (
            (
                r"\b(?:factor|factori[sz]e|prime factors of|(?:prime )?factori[sz]ation of) (?:the number )?"
                rf"{NUMBER}(?! *[a-z(+*^])"
            ),
            answer_factors,
        ),
        (
            (
                r"\b(gcd|hcf|lcm|greatest common (?:divisor|factor)|highest common factor|(?:least|lowest) common "
                r"multiple)(?: of)? ?\(?((?:\d+[, ]+(?:and )?)+\d+)"
            ),
            answer_divisor,
        ),
        (
            (
                r"\b(sum of|how many|number of|count)(?: all)?(?: the)? prime(?:s| numbers) (?:are )?(?:there )?"
                rf"(below|under|less than|up to|through|smaller than) {NUMBER}"
            ),
            answer_primes,
        ),
        (
            (
                r"\bsum of (?:all )?(?:the )?(?:integers|numbers|whole numbers|natural numbers) (?:from |between )?"
                rf"{NUMBER} (?:to|through|and) {NUMBER}"
            ),
            answer_series,
        ),
        # No other number beside these two: they are not parts of an expression here, but the whole of it.
        (r"^\D*(?:\bsquare root of |\bsqrt ?\(? ?)(\d[\d,]*+(?:\.\d++)?+)(?!\D*\b(?:squared|cubed))\D*$", answer_root),
        (rf"^\D*(?:\bfactorial of {NUMBER}|{NUMBER}(?: factorial|!(?!=)))\D*$", answer_factorial),
        (r"\b(sum|product) of the digits (?:of|in) (?:the number )?(\d+)", answer_digits),
    )
)
