"""Environment variables. No other module reads them, and none is read at import."""

import os

from afterthought.domain.errors import AfterthoughtError


class MissingSetting(AfterthoughtError):
    """A required environment variable is not set."""


def required(name: str) -> str:
    """Raises MissingSetting when the variable is absent or empty."""
    value = os.environ.get(name, "")
    if not value:
        raise MissingSetting(f"the environment variable {name} is not set")
    return value


def listed(name: str) -> tuple[str, ...]:
    """A comma-separated list; empty when the variable is absent or empty."""
    return tuple(part for part in (raw.strip() for raw in os.environ.get(name, "").split(",")) if part)
