"""The tenants and API keys in AccountTable."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from afterthought.adapters.dynamodb import from_item, is_condition_failure, to_item
from afterthought.domain.tenants.tenant import ApiKey, Tenant

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class AccountTable:
    """The ports `Accounts` and `TenantRecords` on DynamoDB. Raises botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def tenant_of(self, key_hash: str) -> str | None:
        # A consistent read, so that a revoked key is refused from the next request on.
        values = self._get({"pk": f"KEY#{key_hash}", "sk": "KEY"})
        return None if values is None or "revoked_at" in values else str(values["tenant"])

    def tenant(self, name: str) -> Tenant | None:
        values = self._get(_tenant_key(name))
        return None if values is None else Tenant.model_validate({**values, "name": name})

    def put_tenant(self, tenant: Tenant) -> bool:
        values = {**_tenant_key(tenant.name), **tenant.model_dump(exclude={"name"})}
        try:
            self._client.put_item(
                TableName=self._table, Item=to_item(values), ConditionExpression="attribute_not_exists(pk)"
            )
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        return True

    def change_tenant(self, name: str, changes: Mapping[str, Any]) -> Tenant | None:
        names = {f"#{attribute}": attribute for attribute in changes}
        values = {f":{attribute}": value for attribute, value in changes.items()}
        assigned = [f"#{attribute} = :{attribute}" for attribute, value in changes.items() if value is not None]
        removed = [f"#{attribute}" for attribute, value in changes.items() if value is None]
        clauses = [f"{verb} {', '.join(each)}" for verb, each in (("SET", assigned), ("REMOVE", removed)) if each]
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=to_item(_tenant_key(name)),
                UpdateExpression=" ".join(clauses),
                # True if the item exists. It uses a value, because DynamoDB refuses an empty map of values.
                ConditionExpression="sk = :sk",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=to_item({":sk": "TENANT", **values}),
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if is_condition_failure(error):
                return None
            raise
        return Tenant.model_validate({**from_item(answer["Attributes"]), "name": name})

    def put_key(self, key: ApiKey) -> None:
        item = {"pk": f"KEY#{key.key_hash}", "sk": "KEY", **key.model_dump(exclude={"key_hash"})}
        self._client.put_item(TableName=self._table, Item=to_item(item))

    def tenants(self) -> Iterator[Tenant]:
        for values in self._scan("TENANT"):
            yield Tenant.model_validate({**values, "name": values["pk"].removeprefix("TENANT#")})

    def api_keys(self) -> Iterator[ApiKey]:
        for values in self._scan("KEY"):
            yield ApiKey.model_validate({**values, "key_hash": values["pk"].removeprefix("KEY#")})

    def _get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        answer = self._client.get_item(TableName=self._table, Key=to_item(key), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None

    def _scan(self, sk: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table, FilterExpression="sk = :sk", ExpressionAttributeValues=to_item({":sk": sk})
        )
        for page in pages:
            yield from (from_item(item) for item in page["Items"])


def _tenant_key(name: str) -> dict[str, str]:
    return {"pk": f"TENANT#{name}", "sk": "TENANT"}
