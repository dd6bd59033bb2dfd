"""Encryption that is none, but is bound to its tenant as the real one is."""

import json
from dataclasses import dataclass

from tests.simulator.line import Line


class WrongTenant(Exception):
    """What was sealed for one tenant is opened for another."""


@dataclass(frozen=True)
class SimulatedCipher:
    """The port `Cipher`."""

    line: Line

    def encrypt(self, plain: str, *, tenant: str) -> bytes:
        return self.line.call("cipher.encrypt", lambda: json.dumps([tenant, plain[::-1]]).encode())

    def decrypt(self, sealed: bytes, *, tenant: str) -> str:
        def open_it() -> str:
            owner, turned = json.loads(sealed)
            if owner != tenant:
                raise WrongTenant("it was sealed for another tenant")
            return str(turned[::-1])

        return self.line.call("cipher.decrypt", open_it)
