"""Where the parts of the local service listen: on loopback, never on a network."""

import socket

from local.failure import LocalFailure

HOST = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on now. Somebody else may take it before we do: the caller's start then fails loudly."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free(port: int, setting: str) -> None:
    """Raises LocalFailure, naming the setting that chooses another port, if the port cannot be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server itself will: without it, connections of a server that has just stopped would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise LocalFailure(
                f"Port {port} of {HOST} cannot be used ({error}). Stop what listens there, or take another: {setting}."
            ) from error
