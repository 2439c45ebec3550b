"""Amounts of money as messages."""

from functools import lru_cache

from payments.core.v1 import money_pb2

from services.kernel.money import Currency, Money


def money_from(message: money_pb2.Money) -> Money:
    return Money(message.amount_minor, _currency(message.currency))


def money_message(money: Money) -> money_pb2.Money:
    return money_pb2.Money(amount_minor=money.amount_minor, currency=money.currency.code)


@lru_cache(maxsize=256)
def _currency(code: str) -> Currency:
    return Currency(code)
