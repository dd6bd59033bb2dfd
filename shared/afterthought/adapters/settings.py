"""The environment of a function: the one place that reads it, when it is asked and not when it is imported."""

import os

from afterthought.domain.errors import AfterthoughtError


class MissingSetting(AfterthoughtError):
    """The stack did not give the function a variable that it needs."""


def required(name: str) -> str:
    """Raises MissingSetting, with the name, when it is absent or empty."""
    value = os.environ.get(name, "")
    if not value:
        raise MissingSetting(f"the environment variable {name} is not set")
    return value


def listed(name: str) -> tuple[str, ...]:
    """A comma list; empty when the variable is absent or empty."""
    return tuple(part for part in (raw.strip() for raw in os.environ.get(name, "").split(",")) if part)
