"""Encryption of tenants' webhook secrets."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class KmsCipher:
    """The port `Cipher` on KMS. The tenant's name is the encryption context, so a secret that is copied into another
    tenant's item cannot be decrypted. Decrypted secrets are cached for the life of the process: they are few, and KMS
    calls cost money. Raises botocore's ClientError."""

    def __init__(self, client: "KMSClient", key_id: str | None = None) -> None:
        self._client = client
        self._key_id = key_id
        self._decrypted: dict[tuple[str, bytes], str] = {}

    def encrypt(self, plain: str, *, tenant: str) -> bytes:
        if self._key_id is None:
            raise ValueError("encrypt needs a key id")
        response = self._client.encrypt(
            KeyId=self._key_id, Plaintext=plain.encode(), EncryptionContext={"tenant": tenant}
        )
        return response["CiphertextBlob"]

    def decrypt(self, sealed: bytes, *, tenant: str) -> str:
        if (tenant, sealed) not in self._decrypted:
            response = self._client.decrypt(CiphertextBlob=sealed, EncryptionContext={"tenant": tenant})
            self._decrypted[tenant, sealed] = response["Plaintext"].decode()
        return self._decrypted[tenant, sealed]
