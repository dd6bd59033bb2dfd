"""Equations with one unknown up to degree two, and pairs of linear ones with two."""

from collections.abc import Sequence
from fractions import Fraction

from local.standin.answers import Answer
from local.standin.arithmetic import (
    NotComputableError,
    Parser,
    Polynomial,
    bounded,
    combined,
    decimal,
    exact_root,
    grouped,
    near_root,
    show,
)


def solve(equations: Sequence[Sequence[str]]) -> Answer | None:
    """Solve the equations given as tokens, or None where there is nothing to solve. Raises NotComputableError."""
    if not equations:
        return None
    sides = [level(tokens) for tokens in equations]
    names = sorted({name for side in sides for monomial in side for name in monomial})
    if len(sides) == 2 and len(names) == 2:
        return solve_pair(sides[0], sides[1], names[0], names[1])
    names = sorted({name for monomial in sides[0] for name in monomial})
    if not names:
        held = sides[0].get((), Fraction(0)) == 0
        return Answer("It holds for every value." if held else "It has no solution.", ("The unknowns cancel out.",))
    if len(names) > 1:
        raise NotComputableError("more unknowns than equations")
    return solve_one(sides[0], names[0])


def level(tokens: Sequence[str]) -> Polynomial:
    """The equation with everything brought to its left side."""
    middle = list(tokens).index("=")
    return combined(Parser(tokens[:middle]).parse(), Parser(tokens[middle + 1 :]).parse(), -1)


def solve_one(side: Polynomial, name: str) -> Answer:
    a = side.get((name, name), Fraction(0))
    b = side.get((name,), Fraction(0))
    c = side.get((), Fraction(0))
    if a:
        return solve_quadratic(a, b, c, name)
    root = bounded(-c / b)
    steps = [f"{term(b, name)} = {show(-c)}"]
    if b != 1:
        steps.append(f"{name} = {show(-c)} / {show(b)}")
    return Answer(f"{name} = {show(root)}", steps, root, {name: root})


def solve_quadratic(a: Fraction, b: Fraction, c: Fraction, name: str) -> Answer:
    discriminant = bounded(b * b - 4 * a * c)
    steps = [
        f"{term(a, name)}² + {term(b, name)} + {grouped(c)} = 0",
        f"The discriminant is {grouped(b)}² - 4·{grouped(a)}·{grouped(c)} = {show(discriminant)}",
    ]
    if discriminant < 0:
        return Answer(f"{name} has no real value.", steps)
    root = exact_root(discriminant)
    near = near_root(discriminant) if root is None else root
    low, high = sorted([(-b - near) / (2 * a), (-b + near) / (2 * a)])
    if root is None:
        return Answer(f"{name} ≈ {decimal(low, 8)} or {name} ≈ {decimal(high, 8)}", steps, high)
    if low == high:
        return Answer(f"{name} = {show(low)}", steps, low, {name: low})
    return Answer(f"{name} = {show(low)} or {name} = {show(high)}", steps, high)


def solve_pair(one: Polynomial, other: Polynomial, x: str, y: str) -> Answer:
    if any(len(monomial) > 1 for side in (one, other) for monomial in side):
        raise NotComputableError("two unknowns in an equation that is not linear")
    zero = Fraction(0)
    a, b, e = one.get((x,), zero), one.get((y,), zero), -one.get((), zero)
    c, d, f = other.get((x,), zero), other.get((y,), zero), -other.get((), zero)
    determinant = bounded(a * d - b * c)
    steps = [f"The determinant is {grouped(a)}·{grouped(d)} - {grouped(b)}·{grouped(c)} = {show(determinant)}"]
    if determinant == 0:
        return Answer(f"{x} and {y} have no single solution.", steps)
    values = {x: bounded((e * d - b * f) / determinant), y: bounded((a * f - e * c) / determinant)}
    return Answer(f"{x} = {show(values[x])} and {y} = {show(values[y])}", steps, values[x], values)


def term(coefficient: Fraction, name: str) -> str:
    return name if coefficient == 1 else f"{grouped(coefficient)}{name}"
