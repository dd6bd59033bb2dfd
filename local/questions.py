"""What the demo asks: three questions of its own, or the person's."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """`effort` None leaves the model at its own default (some take none at all)."""

    text: str
    model: str
    effort: str | None = None


# Questions that the stand-in can really work out, for models that a real endpoint still serves.
OWN = (
    Question("What is 1234 * 5678 - 90?", "gpt-5.4-nano", "low"),
    Question("Solve for x: 3x + 7 = 52", "gpt-5.4-mini", "medium"),
    Question("What is (2 ** 64 - 1) / 3?", "gpt-6-luna", "high"),
)


def chosen(environment: Mapping[str, str]) -> tuple[Question, ...]:
    """The person's question if QUESTION, MODEL or EFFORT is set; what is not set is taken from the first of our own."""
    text, model, effort = (environment.get(name, "").strip() for name in ("QUESTION", "MODEL", "EFFORT"))
    if not (text or model or effort):
        return OWN
    return (Question(text or OWN[0].text, model or OWN[0].model, effort or None),)
