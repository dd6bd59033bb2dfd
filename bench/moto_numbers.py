"""Decimal arithmetic for moto's DynamoDB.

moto takes a number without a point for an integer, so it fails on "4E-7" and "0E-8". DynamoDB accepts both and returns
plain numbers.
"""

from decimal import Context, Decimal

from moto.dynamodb.models.dynamo_type import DDBType, DynamoType

_CONTEXT = Context(prec=38)


def patch_arithmetic() -> None:
    """For the rest of the process."""
    DynamoType.__add__ = lambda left, right: _number(_CONTEXT.add(_value(left), _value(right)))  # type: ignore[method-assign]
    DynamoType.__sub__ = lambda left, right: _number(_CONTEXT.subtract(_value(left), _value(right)))  # type: ignore[method-assign]


def _value(number: DynamoType) -> Decimal:
    if number.type != DDBType.NUMBER:
        raise TypeError("only numbers can be added")
    return Decimal(number.value)


def _number(value: Decimal) -> DynamoType:
    return DynamoType({DDBType.NUMBER: format(value.normalize(_CONTEXT), "f")})
