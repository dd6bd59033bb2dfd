"""The providers' credentials: one secret in Secrets Manager, JSON:

{"<provider>": {"api_key": "…", "base_url": "…", "webhook_secrets": ["whsec_…", "whsec_…"]}}
"""

import re
from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from afterthought.domain.webhooks import signature
from afterthought.domain.errors import ProviderBusy

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_KEPT_SECONDS = 300
_FEWEST_KEY_BYTES = 24
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Connection(BaseModel):
    """`base_url` overrides the catalogue's, for a gateway or an endpoint of one's own. `webhook_secrets` are those that
    the provider signs its events with: none where it sends none, two while one takes the other's place."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    webhook_secrets: Annotated[tuple[SecretStr, ...], Field(max_length=2)] = ()

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr) -> SecretStr:
        # A pasted key often brings its line's end along. What no header can carry would fail only in mid-call.
        plain = key.get_secret_value().strip()
        if not _VISIBLE.fullmatch(plain):
            raise ValueError("a key is made of visible ASCII characters")
        return SecretStr(plain)

    @field_validator("webhook_secrets")
    @classmethod
    def _can_verify(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        plain = [secret.get_secret_value().strip() for secret in secrets]
        if any(len(signature.key_of(secret)) < _FEWEST_KEY_BYTES for secret in plain):
            # An empty one, most of all, would let anybody sign.
            raise ValueError(f"a webhook secret has at least {_FEWEST_KEY_BYTES} bytes")
        return tuple(SecretStr(secret) for secret in plain)


_CONNECTIONS = TypeAdapter(dict[str, Connection], config=ConfigDict(hide_input_in_errors=True))


class ProviderSecrets:
    """Read when first needed and again after five minutes, so that a rotated key is taken up without a deployment."""

    def __init__(self, client: "SecretsManagerClient", secret_arn: str) -> None:
        self._secrets = SecretsProvider(boto3_client=client)
        self._secret_arn = secret_arn

    def connection(self, provider: str, *, fresh: bool = False) -> Connection:
        """Raises ProviderBusy when the secret cannot be had or has no valid entry for the provider: nothing was called
        yet, and once it is mended, jobs go on. `fresh` reads the secret anew."""
        found = self._connections(fresh=fresh).get(provider)
        if found is None:
            raise ProviderBusy(f"The providers' secret has no entry '{provider}'.", code="provider_secret")
        return found

    def webhook_secrets(self, provider: str, *, fresh: bool = False) -> tuple[str, ...]:
        """What the provider signs its events with; none when it has no entry, or announces nothing. Raises ProviderBusy
        when the secret cannot be had. `fresh` reads it anew."""
        found = self._connections(fresh=fresh).get(provider)
        return tuple(secret.get_secret_value() for secret in found.webhook_secrets) if found else ()

    def _connections(self, *, fresh: bool) -> dict[str, Connection]:
        try:
            text = self._secrets.get(self._secret_arn, max_age=_KEPT_SECONDS, force_fetch=fresh)
        except GetParameterError as error:
            raise ProviderBusy("The providers' secret could not be read.", code="provider_secret") from error
        try:
            return _CONNECTIONS.validate_json(str(text))
        except ValidationError:
            # Neither the error nor its chain may be shown: both know the secret's text.
            raise ProviderBusy("The providers' secret is not in its form.", code="provider_secret") from None
