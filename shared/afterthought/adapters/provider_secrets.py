"""Credentials of the model providers: one secret in Secrets Manager, as JSON:

{"<provider>": {"api_key": "…", "base_url": "…", "webhook_secrets": ["whsec_…", "whsec_…"]}}
"""

import re
from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from afterthought.domain.errors import ProviderBusy
from afterthought.domain.webhooks import signature

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_CACHE_SECONDS = 300
_MIN_KEY_BYTES = 24
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


class Connection(BaseModel):
    """`base_url` overrides the catalogue's, for a gateway or a self-hosted server. `webhook_secrets` are those that the
    provider signs its events with: none when it sends no events, two during a rotation."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    webhook_secrets: Annotated[tuple[SecretStr, ...], Field(max_length=2)] = ()

    @field_validator("api_key")
    @classmethod
    def _valid_header_value(cls, key: SecretStr) -> SecretStr:
        # A pasted key often ends with a newline. An invalid header value would fail only during the call.
        plain = key.get_secret_value().strip()
        if not _VISIBLE_ASCII.fullmatch(plain):
            raise ValueError("a key has visible ASCII characters only")
        return SecretStr(plain)

    @field_validator("webhook_secrets")
    @classmethod
    def _long_enough(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        plain = [secret.get_secret_value().strip() for secret in secrets]
        if any(len(signature.key_of(secret)) < _MIN_KEY_BYTES for secret in plain):
            # With an empty or short secret, anyone could sign.
            raise ValueError(f"a webhook secret has at least {_MIN_KEY_BYTES} bytes")
        return tuple(SecretStr(secret) for secret in plain)


_CONNECTIONS = TypeAdapter(dict[str, Connection], config=ConfigDict(hide_input_in_errors=True))


class ProviderSecrets:
    """The secret is cached for five minutes, so that a rotated key is used without a deployment."""

    def __init__(self, client: "SecretsManagerClient", secret_arn: str) -> None:
        self._secrets = SecretsProvider(boto3_client=client)
        self._secret_arn = secret_arn

    def connection(self, provider: str, *, fresh: bool = False) -> Connection:
        """Raises ProviderBusy when the secret is unreadable or has no valid entry for the provider: no call was made,
        and jobs continue once the secret is corrected. `fresh` bypasses the cache."""
        connection = self._connections(fresh=fresh).get(provider)
        if connection is None:
            raise ProviderBusy(f"The provider secret has no entry '{provider}'.", code="provider_secret")
        return connection

    def webhook_secrets(self, provider: str, *, fresh: bool = False) -> tuple[str, ...]:
        """Empty when the provider has no entry or sends no events. Raises ProviderBusy when the secret is unreadable.
        `fresh` bypasses the cache."""
        connection = self._connections(fresh=fresh).get(provider)
        return tuple(secret.get_secret_value() for secret in connection.webhook_secrets) if connection else ()

    def _connections(self, *, fresh: bool) -> dict[str, Connection]:
        try:
            text = self._secrets.get(self._secret_arn, max_age=_CACHE_SECONDS, force_fetch=fresh)
        except GetParameterError as error:
            raise ProviderBusy("The provider secret could not be read.", code="provider_secret") from error
        try:
            return _CONNECTIONS.validate_json(str(text))
        except ValidationError:
            # The original error contains the secret's text.
            raise ProviderBusy("The provider secret has an invalid format.", code="provider_secret") from None
