"""A cipher without secrecy that is bound to its tenant, as the real one is."""

import json
from dataclasses import dataclass

from tests.simulator.calls import CallRecorder


class WrongTenant(Exception):
    """A tenant's ciphertext was decrypted for another."""


@dataclass(frozen=True)
class SimulatedCipher:
    """The port `Cipher`."""

    calls: CallRecorder

    def encrypt(self, plain: str, *, tenant: str) -> bytes:
        return self.calls.call("cipher.encrypt", lambda: json.dumps([tenant, plain[::-1]]).encode())

    def decrypt(self, sealed: bytes, *, tenant: str) -> str:
        def effect() -> str:
            owner, reversed_text = json.loads(sealed)
            if owner != tenant:
                raise WrongTenant("the ciphertext belongs to another tenant")
            return str(reversed_text[::-1])

        return self.calls.call("cipher.decrypt", effect)
