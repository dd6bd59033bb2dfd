"""What the stand-in found out: the same for a sum, an equation and a question in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Answer:
    """What was found. `value` is the number it comes to, `values` the unknowns by name; both may be missing."""

    text: str
    steps: Sequence[str] = ()
    value: Fraction | None = None
    values: Mapping[str, Fraction] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The answer as a message would show it, steps first."""
        if not self.steps:
            return self.text
        return "\n".join([*(f"{number}. {step}" for number, step in enumerate(self.steps, 1)), "", self.text])
