"""The providers' credentials: one secret in Secrets Manager, JSON: {"<provider>": {"api_key": …, "base_url": …}}."""

import re
from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from afterthought.domain.errors import ProviderBusy

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_KEPT_SECONDS = 300
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Connection(BaseModel):
    """`base_url` overrides the catalogue's, for a gateway or an endpoint of one's own."""

    model_config = ConfigDict(frozen=True)

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr) -> SecretStr:
        # A pasted key often brings its line's end along. What no header can carry would fail only in mid-call.
        plain = key.get_secret_value().strip()
        if not _VISIBLE.fullmatch(plain):
            raise ValueError("a key is made of visible ASCII characters")
        return SecretStr(plain)


_CONNECTIONS = TypeAdapter(dict[str, Connection])


class ProviderSecrets:
    """Read when first needed and again after five minutes, so that a rotated key is taken up without a deployment."""

    def __init__(self, client: "SecretsManagerClient", secret_arn: str) -> None:
        self._secrets = SecretsProvider(boto3_client=client)
        self._secret_arn = secret_arn

    def connection(self, provider: str, *, fresh: bool = False) -> Connection:
        """Raises ProviderBusy when the secret cannot be had or has no valid entry for the provider: nothing was called
        yet, and once it is mended, jobs go on. `fresh` reads the secret anew."""
        try:
            text = self._secrets.get(self._secret_arn, max_age=_KEPT_SECONDS, force_fetch=fresh)
        except GetParameterError as error:
            raise ProviderBusy("The providers' secret could not be read.", code="provider_secret") from error
        try:
            connections = _CONNECTIONS.validate_json(str(text))
        except ValidationError:
            # Neither the error nor its chain may be shown: both hold the secret's text.
            raise ProviderBusy("The providers' secret is not in its form.", code="provider_secret") from None
        if provider not in connections:
            raise ProviderBusy(f"The providers' secret has no entry '{provider}'.", code="provider_secret")
        return connections[provider]
