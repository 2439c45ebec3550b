"""docs/leniency.md and the registry say the same, and what the page shows is what happens."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.reading import RULES, Caller, Refusal
from tests.gateway.reading.requests import (
    CALLER,
    WITHOUT_DEFAULT,
    issues_of,
    send,
    send_payment,
    shown,
)

_PAGE = (Path(__file__).parents[3] / "docs" / "leniency.md").read_text()
_ENTRY = re.compile(
    r"^### `([\w.]+)`: (\w+)\n\n(.+)\n\n```\n((?s:.*?))\n```\n\n"
    r"(Read as|Refused as|Accepted)(?: `(.*)`)?\.$",
    re.MULTILINE,
)
_HEADING = re.compile(r"^### (.*)$", re.MULTILINE)
_AMOUNT_ROW = re.compile(r"^\| `(.+?)` \| (?:(\d+) ([A-Z]{3})|refused) \|", re.MULTILINE)
_NAMES_ROW = re.compile(r"^\| `(\w+)` \| (`.*) \|$", re.MULTILINE)


class _Entry(NamedTuple):
    rule: str
    severity: str
    meaning: str
    example: str
    outcome: str
    told: str | None


_ENTRIES = [_Entry(*match.groups()) for match in _ENTRY.finditer(_PAGE)]


def test_the_page_shows_every_rule_once_and_no_other() -> None:
    assert sorted(entry.rule for entry in _ENTRIES) == sorted(RULES)
    assert len(_HEADING.findall(_PAGE)) == len(RULES)


@pytest.mark.parametrize("entry", _ENTRIES, ids=lambda entry: entry.rule)
def test_an_entry_of_the_page_says_what_the_rule_says(entry: _Entry) -> None:
    rule = RULES[entry.rule]
    assert entry.severity == ("refused" if rule.refuses else rule.severity)
    assert (entry.meaning, entry.example) == (rule.meaning, rule.example)


def _caller_of(entry: _Entry) -> Caller:
    return WITHOUT_DEFAULT if entry.rule == "currency.missing" else CALLER


@pytest.mark.parametrize(
    "entry", [e for e in _ENTRIES if e.outcome != "Refused as"], ids=lambda entry: entry.rule
)
def test_an_example_that_is_accepted_is_read_as_the_page_says(entry: _Entry) -> None:
    read = send(entry.example, caller=_caller_of(entry))
    (issue, *_) = [issue for issue in issues_of(read) if issue.rule == entry.rule]
    assert issue.severity == entry.severity
    assert issue.message.startswith(entry.meaning)
    expected = json.loads(entry.told or "{}")
    assert {name: shown(read)[name] for name in expected} == expected


@pytest.mark.parametrize(
    "entry", [e for e in _ENTRIES if e.outcome == "Refused as"], ids=lambda entry: entry.rule
)
def test_an_example_that_is_refused_is_refused_as_the_page_says(entry: _Entry) -> None:
    with pytest.raises(Refusal) as refused:
        send(entry.example, caller=_caller_of(entry))
    assert refused.value.reason == entry.told == RULES[entry.rule].reason
    assert entry.rule in [issue.rule for issue in refused.value.issues]


@pytest.mark.parametrize("row", _AMOUNT_ROW.findall(_PAGE), ids=lambda row: row[0])
def test_an_amount_of_the_page_means_what_it_says(row: tuple[str, str, str]) -> None:
    raw, amount_minor, currency = row
    body = f'{{"amount": {raw}, "method": "card"}}'.encode()
    if not amount_minor:
        with pytest.raises(Refusal):
            send_payment(body)
        return
    amount = send_payment(body).context.amount
    assert (amount.amount_minor, amount.currency.code) == (int(amount_minor), currency)


def test_the_page_shows_enough_amounts_to_go_by() -> None:
    assert len(_AMOUNT_ROW.findall(_PAGE)) > 20


def test_the_canonical_request_of_the_page_leaves_no_issue() -> None:
    (text,) = re.findall(r"```canonical\n(.*?)```", _PAGE, re.DOTALL)
    read = send_payment(text.encode())
    assert read.context.issues == ()
    assert shown(read) == {**json.loads(text), "idempotency_key": "order-17"}


_SAMPLES = {
    "amount": 1250,
    "currency": "EUR",
    "method": "apple_pay",
    "payment_method": "pm_1",
    "network": "visa",
    "user_id": "user-17",
    "email": "ann@example.com",
    "country": "DE",
    "capture_method": "manual",
    "steps": [{"method": "card", "payment_method": "pm_1"}],
    "return_url": "https://shop.example/",
}


@pytest.mark.parametrize(
    ("field", "alias"),
    [
        (field, alias)
        for field, aliases in _NAMES_ROW.findall(_PAGE)
        for alias in re.findall(r"`([a-z_.]+)`", aliases)
    ],
)
def test_a_name_of_the_page_means_the_field_it_stands_beside(field: str, alias: str) -> None:
    value: object = _SAMPLES[field]
    for name in reversed(alias.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    others = {} if field == "amount" else {"amount": 5}
    read = send_payment(json.dumps({**others, **value}).encode())
    expected = _SAMPLES[field]
    if field == "steps":
        assert [str(step.instrument.method) for step in read.context.steps] == ["card"]
    else:
        assert shown(read)[field] == expected
    assert {"field.alias", "field.nested"} & {issue.rule for issue in read.context.issues}
