"""A stand-in for a model provider: OpenAI's Responses API on this machine, without a model, a key or a cost."""

from local.standin.runs import Generation
from local.standin.server import StandIn

__all__ = ["Generation", "StandIn"]
