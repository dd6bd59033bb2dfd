"""moto's arithmetic, mended: it adds 4E-7, as DynamoDB does.

moto tells a whole number from a fraction by the point in it, so it takes "4E-7" and "0E-8" for whole numbers and fails:
money of seven decimals could not be added to anything. DynamoDB itself takes such numbers and answers plain ones.
"""

from decimal import Context, Decimal

from moto.dynamodb.models.dynamo_type import DDBType, DynamoType

_DIGITS = Context(prec=38)


def mend() -> None:
    """For the rest of the process."""
    DynamoType.__add__ = lambda left, right: _number(_DIGITS.add(_value(left), _value(right)))  # type: ignore[method-assign]
    DynamoType.__sub__ = lambda left, right: _number(_DIGITS.subtract(_value(left), _value(right)))  # type: ignore[method-assign]


def _value(given: DynamoType) -> Decimal:
    if given.type != DDBType.NUMBER:
        raise TypeError("only numbers can be added")
    return Decimal(given.value)


def _number(value: Decimal) -> DynamoType:
    return DynamoType({DDBType.NUMBER: format(value.normalize(_DIGITS), "f")})
