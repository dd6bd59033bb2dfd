"""Loopback ports for the parts of the local service."""

import socket

from local.failure import LocalFailure

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that is free now. If another process takes it first, the server fails to start."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free(port: int, setting: str) -> None:
    """Raises LocalFailure if the port cannot be used; `setting` is how to choose another."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set it too. Otherwise the connections of a server that has just stopped would block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise LocalFailure(
                f"Port {port} on {HOST} cannot be used ({error}). Stop what uses it, or choose another: {setting}."
            ) from error
