"""AccountTable's tenants and API keys."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from afterthought.adapters.dynamodb import from_item, to_item
from afterthought.domain.tenant import ApiKey, Tenant

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AccountTable:
    """The ports `Accounts` and `TenantRecords` on DynamoDB. Raises botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def tenant_of(self, key_hash: str) -> str | None:
        # Consistent, so that a revoked key is refused from the next request on.
        values = self._get(f"KEY#{key_hash}", "KEY")
        return None if values is None or "revoked_at" in values else str(values["tenant"])

    def tenant(self, name: str) -> Tenant | None:
        values = self._get(f"TENANT#{name}", "TENANT")
        return None if values is None else Tenant.model_validate({**values, "name": name})

    def put_tenant(self, tenant: Tenant) -> None:
        self._put(f"TENANT#{tenant.name}", "TENANT", tenant.model_dump(exclude={"name"}))

    def put_key(self, key: ApiKey) -> None:
        self._put(f"KEY#{key.key_hash}", "KEY", key.model_dump(exclude={"key_hash"}))

    def tenants(self) -> Iterator[Tenant]:
        for values in self._scan("TENANT"):
            yield Tenant.model_validate({**values, "name": values["pk"].removeprefix("TENANT#")})

    def api_keys(self) -> Iterator[ApiKey]:
        for values in self._scan("KEY"):
            yield ApiKey.model_validate({**values, "key_hash": values["pk"].removeprefix("KEY#")})

    def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        answer = self._client.get_item(TableName=self._table, Key=to_item({"pk": pk, "sk": sk}), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None

    def _put(self, pk: str, sk: str, values: dict[str, Any]) -> None:
        self._client.put_item(TableName=self._table, Item=to_item({"pk": pk, "sk": sk, **values}))

    def _scan(self, sk: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table, FilterExpression="sk = :sk", ExpressionAttributeValues=to_item({":sk": sk})
        )
        for page in pages:
            yield from (from_item(item) for item in page["Items"])
