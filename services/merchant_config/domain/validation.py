"""Whether settings may be stored: every rule, over the whole of them, each breach with its path."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from services.kernel.errors import FieldViolation
from services.merchant_config.domain.checks import (
    CURRENCY,
    STEP_TIMEOUT_MAX,
    WINDOW_MAX,
    check_code,
    check_money_range,
    check_name,
    check_retry_policy,
    check_span,
    check_unique,
    check_weights,
    duplicates,
)
from services.merchant_config.domain.rules import check_rules
from services.merchant_config.domain.settings import (
    AttemptLimit,
    MerchantSettings,
    ProcessorFacts,
    VelocityLimit,
    WebhookEndpoint,
)

_BASIS_POINTS_MAX = 10_000
_URL_CHARACTERS_MAX = 2_000
_URL_CHARACTERS = re.compile(r"[!-~]*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_LIST_MAX = 100


def violations_of(
    settings: MerchantSettings,
    known: Mapping[str, ProcessorFacts],
    *,
    may_name_private_hosts: bool = False,
) -> Sequence[FieldViolation]:
    """Everything that is wrong with the settings, given the processors that there are."""
    # What is too long is not looked through: some of the checks compare each with each.
    if too_long := list(_check_counts(settings)):
        return too_long
    return [
        *_check_terms(settings),
        *_check_fees(settings),
        *_check_processors(settings, known),
        *check_rules(settings, known),
        *_check_amount_limits(settings),
        *_check_velocity_limits(settings),
        *_check_attempt_limits(settings),
        *_check_endpoints(settings.webhook_endpoints, may_name_private_hosts),
    ]


def _check_counts(settings: MerchantSettings) -> Iterator[FieldViolation]:
    for field, entries in (
        ("processors", settings.processors),
        ("routing_rules", settings.routing_rules),
        ("amount_limits", settings.amount_limits),
        ("velocity_limits", settings.velocity_limits),
        ("webhook_endpoints", settings.webhook_endpoints),
    ):
        if len(entries) > _LIST_MAX:
            yield FieldViolation(field, f"{field}.count", f"at most {_LIST_MAX}")


def _check_terms(settings: MerchantSettings) -> Iterator[FieldViolation]:
    yield from check_code("default_currency", settings.default_currency, CURRENCY)
    for field, choice in (
        ("capture_method", settings.capture_method),
        ("split_policy", settings.split_policy),
    ):
        if choice is None:
            message = "must be said: it holds where a request leaves it open"
            yield FieldViolation(field, f"{field}.present", message)
    yield from check_span("step_timeout", settings.step_timeout, STEP_TIMEOUT_MAX)
    yield from check_retry_policy("retry_policy", settings.retry_policy)
    yield from check_unique("allowed_methods", None, settings.allowed_methods)


def _check_fees(settings: MerchantSettings) -> Iterator[FieldViolation]:
    fees = settings.fees
    if not 0 <= fees.basis_points <= _BASIS_POINTS_MAX:
        message = f"must be 0 to {_BASIS_POINTS_MAX}, which is all of it"
        yield FieldViolation("fees.basis_points", "basis_points.range", message)
    for number, fixed in enumerate(fees.fixed):
        if fixed.is_negative:
            path = f"fees.fixed[{number}].amount_minor"
            yield FieldViolation(path, "amount.not_negative", "must be zero or more")
    yield from check_unique("fees.fixed", "currency", [fixed.currency.code for fixed in fees.fixed])


def _check_processors(
    settings: MerchantSettings, known: Mapping[str, ProcessorFacts]
) -> Iterator[FieldViolation]:
    listed = [preference.processor_id for preference in settings.processors]
    if not listed:
        message = "names no processor, so nothing could be paid"
        yield FieldViolation("processors", "processors.present", message)
    yield from check_unique("processors", "processor_id", listed)
    yield from check_weights(
        "processors", [preference.weight_percent for preference in settings.processors]
    )
    for number, preference in enumerate(settings.processors):
        path = f"processors[{number}]"
        if preference.processor_id not in known:
            there_are = ", ".join(sorted(known)) or "none"
            message = f"no processor {preference.processor_id!r}; there are {there_are}"
            yield FieldViolation(f"{path}.processor_id", "processor.known", message)
        yield from check_span(f"{path}.timeout", preference.timeout, STEP_TIMEOUT_MAX)
    facts = [known[processor_id] for processor_id in listed if processor_id in known]
    for number, method in enumerate(settings.allowed_methods):
        if facts and not any(not fact.methods or method in fact.methods for fact in facts):
            message = f"no processor of this configuration takes {method}"
            yield FieldViolation(f"allowed_methods[{number}]", "method.served", message)


def _check_amount_limits(settings: MerchantSettings) -> Iterator[FieldViolation]:
    keys = []
    for number, limit in enumerate(settings.amount_limits):
        path = f"amount_limits[{number}]"
        low, high = limit.min_amount, limit.max_amount
        yield from check_money_range(path, "min_amount", low, "max_amount", high)
        bound = low or high
        keys.append((limit.method, bound and bound.currency))
    twice = duplicates(keys)
    for number, key in enumerate(keys):
        if key in twice and key in keys[:number]:
            message = "the same method and currency are bounded before"
            yield FieldViolation(f"amount_limits[{number}]", "limit.unique", message)


def _check_velocity_limits(settings: MerchantSettings) -> Iterator[FieldViolation]:
    keys: list[object] = []
    for number, limit in enumerate(settings.velocity_limits):
        path = f"velocity_limits[{number}]"
        yield from _check_velocity_limit(path, limit)
        key = (limit.scope, limit.window, limit.max_amount and limit.max_amount.currency)
        if key in keys:
            message = "the same scope, window and currency are bounded before"
            yield FieldViolation(path, "limit.unique", message)
        keys.append(key)


def _check_velocity_limit(path: str, limit: VelocityLimit) -> Iterator[FieldViolation]:
    if limit.scope is None:
        message = "must say whose payments are counted together"
        yield FieldViolation(f"{path}.scope", "scope.present", message)
    yield from _check_window(path, limit.window)
    if limit.max_count < 0:
        yield FieldViolation(f"{path}.max_count", "count.range", "must be zero or more")
    if limit.max_amount is not None and not limit.max_amount.is_positive:
        yield FieldViolation(f"{path}.max_amount", "amount.positive", "must be more than zero")
    if limit.max_count == 0 and limit.max_amount is None:
        yield FieldViolation(path, "bounds.present", "has neither max_count nor max_amount")


def _check_attempt_limits(settings: MerchantSettings) -> Iterator[FieldViolation]:
    limits = settings.attempt_limits
    for name, limit in (("per_user", limits.per_user), ("per_api_key", limits.per_api_key)):
        if limit is not None:
            yield from _check_attempt_limit(f"attempt_limits.{name}", limit)


def _check_attempt_limit(path: str, limit: AttemptLimit) -> Iterator[FieldViolation]:
    if limit.max_attempts < 1:
        yield FieldViolation(f"{path}.max_attempts", "count.range", "must be one or more")
    yield from _check_window(path, limit.window)


def _check_window(path: str, window: timedelta | None) -> Iterator[FieldViolation]:
    if window is None:
        yield FieldViolation(f"{path}.window", "window.present", "must be said, such as 3600s")
    yield from check_span(f"{path}.window", window, WINDOW_MAX)


def _check_endpoints(
    endpoints: Sequence[WebhookEndpoint], may_be_private: bool
) -> Iterator[FieldViolation]:
    yield from check_unique("webhook_endpoints", "name", [endpoint.name for endpoint in endpoints])
    for number, endpoint in enumerate(endpoints):
        path = f"webhook_endpoints[{number}]"
        yield from check_name(f"{path}.name", endpoint.name)
        yield from _check_url(f"{path}.url", endpoint.url, may_be_private)
        yield from check_unique(f"{path}.event_types", None, endpoint.event_types)
        for position, event_type in enumerate(endpoint.event_types):
            yield from check_name(f"{path}.event_types[{position}]", event_type)


def _check_url(path: str, url: str, may_be_private: bool) -> Iterator[FieldViolation]:
    """What can be said without asking DNS; where a name leads is checked when it is used."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    is_written_as_one = len(url) <= _URL_CHARACTERS_MAX and _URL_CHARACTERS.fullmatch(url)
    if host is None or parts.username is not None or not is_written_as_one:
        yield FieldViolation(path, "url.form", "is no URL of a host, without a login in it")
        return
    is_private = _is_private(host)
    if is_private and not may_be_private:
        yield FieldViolation(path, "url.public", f"{host} is no public address")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_private and may_be_private):
        yield FieldViolation(path, "url.https", "must begin with https://")


def _is_private(host: str) -> bool:
    host = host.removesuffix(".")
    try:
        return not ip_address(host).is_global
    except ValueError:
        # 127.1 and 2130706433 are addresses to whoever connects, and no names to anybody.
        is_number = _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
        return is_number or host == "localhost" or host.endswith(".localhost")
