"""Encryption of what the tables must not show."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class KmsCipher:
    """The port `Cipher` on KMS: the tenant's name is the encryption context, so that one tenant's secret copied into
    another's item does not open. What was opened is kept for the life of the process: the secrets are few, and each
    call to KMS is paid. Raises botocore's ClientError."""

    def __init__(self, client: "KMSClient", key_id: str | None = None) -> None:
        self._client = client
        self._key_id = key_id
        self._opened: dict[tuple[str, bytes], str] = {}

    def encrypt(self, plain: str, *, tenant: str) -> bytes:
        if self._key_id is None:
            raise ValueError("encrypting needs the key's id")
        answer = self._client.encrypt(
            KeyId=self._key_id, Plaintext=plain.encode(), EncryptionContext={"tenant": tenant}
        )
        return answer["CiphertextBlob"]

    def decrypt(self, sealed: bytes, *, tenant: str) -> str:
        if (tenant, sealed) not in self._opened:
            answer = self._client.decrypt(CiphertextBlob=sealed, EncryptionContext={"tenant": tenant})
            self._opened[tenant, sealed] = answer["Plaintext"].decode()
        return self._opened[tenant, sealed]
