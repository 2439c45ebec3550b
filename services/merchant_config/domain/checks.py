"""The checks that several parts of a configuration share; each yields what it finds wrong."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from services.kernel.errors import FieldViolation
from services.kernel.money import Currency, Money
from services.kernel.redaction import find_card_numbers
from services.kernel.retry import MAX_TRIES, RetryPolicy

STEP_TIMEOUT_MAX: Final = timedelta(minutes=5)
WINDOW_MAX: Final = timedelta(days=366)
CURRENCY: Final = "currency"
COUNTRY: Final = "country"

_BACKOFF_MAX: Final = timedelta(minutes=1)
_CURRENCIES: Final = frozenset(currency.code for currency in Currency.all())
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def check_name(path: str, name: str) -> Iterator[FieldViolation]:
    """Names appear in explanations and metrics."""
    if not _NAME.fullmatch(name):
        message = "must be 1 to 63 lower-case letters, digits, '_', '-' and '.'"
        yield FieldViolation(path, "name.grammar", message)


def check_text(path: str, text: str, *, at_least: int, at_most: int) -> Iterator[FieldViolation]:
    if not at_least <= len(text) <= at_most:
        yield FieldViolation(path, "text.length", f"must have {at_least} to {at_most} characters")
    if _UNPRINTABLE.search(text):
        yield FieldViolation(path, "text.printable", "holds a control character")
    if find_card_numbers(text):
        yield FieldViolation(path, "text.card_number", "holds a card number")


def check_code(path: str, code: str, kind: str) -> Iterator[FieldViolation]:
    """A currency that exists, or a country that is written like one."""
    if kind == CURRENCY and code not in _CURRENCIES:
        message = "is no ISO 4217 code of a currency that can be paid in"
        yield FieldViolation(path, "currency.known", message)
    if kind == COUNTRY and not _COUNTRY.fullmatch(code):
        message = "is no ISO 3166-1 alpha-2 code, such as DE"
        yield FieldViolation(path, "country.form", message)


def check_unique(path: str, field: str | None, values: Sequence[str]) -> Iterator[FieldViolation]:
    """Each value once; the path names where a value comes again."""
    seen: set[str] = set()
    for number, value in enumerate(values):
        if value in seen:
            place = f"{path}[{number}]" + (f".{field}" if field else "")
            yield FieldViolation(place, "value.unique", f"{value!r} is there before")
        seen.add(value)


def check_weights(path: str, weights: Sequence[int]) -> Iterator[FieldViolation]:
    """None at all, or shares that make up the whole."""
    for number, weight in enumerate(weights):
        if not 0 <= weight <= 100:
            message = "must be 0 to 100 percent"
            yield FieldViolation(f"{path}[{number}].weight_percent", "weight.range", message)
    if any(weights) and sum(weights) != 100:
        message = f"the weights sum to {sum(weights)}; they must sum to 100, or all be zero"
        yield FieldViolation(path, "weights.sum", message)


def check_span(path: str, span: timedelta | None, longest: timedelta) -> Iterator[FieldViolation]:
    if span is not None and not timedelta(0) < span <= longest:
        message = f"must be more than nothing and at most {longest.total_seconds():.0f} s"
        yield FieldViolation(path, "span.range", message)


def check_money_range(
    path: str, low_name: str, low: Money | None, high_name: str, high: Money | None
) -> Iterator[FieldViolation]:
    """Two bounds in one currency, at least one of them set, the lower one first."""
    if low is None and high is None:
        message = f"has neither {low_name} nor {high_name}"
        yield FieldViolation(path, "bounds.present", message)
    for name, bound in ((low_name, low), (high_name, high)):
        if bound is not None and not bound.is_positive:
            yield FieldViolation(f"{path}.{name}", "amount.positive", "must be more than zero")
    if low is None or high is None:
        return
    if low.currency != high.currency:
        message = f"{low_name} is in {low.currency} and {high_name} in {high.currency}"
        yield FieldViolation(path, "bounds.currency", message)
    elif low > high:
        yield FieldViolation(path, "bounds.order", f"{low_name} is more than {high_name}")


def check_retry_policy(path: str, policy: RetryPolicy | None) -> Iterator[FieldViolation]:
    if policy is None:
        return
    if not 1 <= policy.max_tries <= MAX_TRIES:
        message = f"must be 1 to {MAX_TRIES}"
        yield FieldViolation(f"{path}.max_tries", "tries.range", message)
    for name, wait in (
        ("initial_backoff", policy.initial_backoff),
        ("max_backoff", policy.max_backoff),
    ):
        if not timedelta(0) <= wait <= _BACKOFF_MAX:
            message = f"must be 0 to {_BACKOFF_MAX.total_seconds():.0f} s"
            yield FieldViolation(f"{path}.{name}", "span.range", message)
    if policy.initial_backoff > policy.max_backoff:
        message = "is longer than max_backoff"
        yield FieldViolation(f"{path}.initial_backoff", "backoff.order", message)
    for name, percent, most in (
        ("backoff_growth_percent", policy.backoff_growth_percent, 1_000),
        ("jitter_percent", policy.jitter_percent, 100),
    ):
        if not 0 <= percent <= most:
            yield FieldViolation(f"{path}.{name}", "percent.range", f"must be 0 to {most}")


def duplicates(values: Sequence[object]) -> frozenset[object]:
    """What is there more than once."""
    return frozenset(value for value, count in Counter(values).items() if count > 1)
