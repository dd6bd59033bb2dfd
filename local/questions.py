"""The demo's questions: three defaults, or one from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """`effort` None: the model's default."""

    text: str
    model: str
    effort: str | None = None


# The stand-in can compute these, and a real endpoint still serves these models.
DEFAULT_QUESTIONS = (
    Question("What is 1234 * 5678 - 90?", "gpt-5.4-nano", "low"),
    Question("Solve for x: 3x + 7 = 52", "gpt-5.4-mini", "medium"),
    Question("What is (2 ** 64 - 1) / 3?", "gpt-6-luna", "high"),
)


def from_environment(environment: Mapping[str, str]) -> tuple[Question, ...]:
    """One question if QUESTION, MODEL or EFFORT is set, else the defaults. The first default fills what is not set."""
    text, model, effort = (environment.get(name, "").strip() for name in ("QUESTION", "MODEL", "EFFORT"))
    if not (text or model or effort):
        return DEFAULT_QUESTIONS
    first = DEFAULT_QUESTIONS[0]
    return (Question(text or first.text, model or first.model, effort or None),)
