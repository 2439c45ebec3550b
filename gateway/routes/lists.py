"""Lists: what to leave out, how many at a time, and where to go on."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import PaymentState

from gateway.auth import Scope
from gateway.exchange import Exchange
from gateway.limits import refuse_card_data
from gateway.operations import PREFIX, Operation, Parameter, Success
from gateway.shapes.listing import PaymentList, payment_list_shape
from gateway.shapes.words import STATES
from gateway.told import Told
from services.kernel.context import MAX_USER_ID_CHARACTERS
from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

_Choice = TypeVar("_Choice")

_NUMBERS: Final[Mapping[str, PaymentState.ValueType]] = {
    word: PaymentState.Value(f"PAYMENT_STATE_{word.upper()}") for word in STATES.values()
}
_FLAGS: Final = {"true": True, "false": False}
_DIGITS: Final = re.compile(r"\d{1,4}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CURSOR_CHARACTERS_MAX: Final = 1000
_KNOWN: Final = frozenset(
    {"limit", "cursor", "status", "user_id", "in_doubt", "created_from", "created_before"}
)


async def list_payments(exchange: Exchange) -> Told:
    query = checked_query(exchange)
    request = pb.ListPaymentsRequest(
        merchant_id=exchange.caller.merchant_id or "",
        user_id=_text(query, "user_id", MAX_USER_ID_CHARACTERS),
        page_size=_limit(query),
        page_token=_text(query, "cursor", _CURSOR_CHARACTERS_MAX),
    )
    if "status" in query:
        words = query["status"].split(",")
        request.states.extend(_chosen("status", word, _NUMBERS) for word in words)
    if "in_doubt" in query:
        request.in_doubt = _chosen("in_doubt", query["in_doubt"], _FLAGS)
    if "created_from" in query:
        request.created_from.CopyFrom(_moment("created_from", query["created_from"]))
    if "created_before" in query:
        request.created_before.CopyFrom(_moment("created_before", query["created_before"]))
    response = await exchange.services.orchestrator.ListPayments(request)
    return Told(200, payment_list_shape(response))


def checked_query(exchange: Exchange) -> Mapping[str, str]:
    """The query, without card data; raises Refusal, or InvalidArgument for what is not known."""
    query = exchange.query()
    refuse_card_data(query)
    for name in query:
        if name not in _KNOWN:
            known = ", ".join(sorted(_KNOWN))
            raise _wrong(name[:40], "query.known", f"is not known: there are {known}")
    return query


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(DEFAULT_PAGE_SIZE))
    if _DIGITS.fullmatch(text) is None or not 1 <= int(text) <= MAX_PAGE_SIZE:
        raise _wrong("limit", "limit.range", f"must be from 1 to {MAX_PAGE_SIZE}")
    return int(text)


def _text(query: Mapping[str, str], name: str, characters_max: int) -> str:
    text = query.get(name, "")
    if len(text) > characters_max or _CONTROL.search(text):
        raise _wrong(name, "text.usable", f"must be plain text of up to {characters_max}")
    return text


def _chosen(name: str, word: str, words: Mapping[str, _Choice]) -> _Choice:
    found = words.get(word.strip().lower())
    if found is None:
        raise _wrong(name, "choice.known", f"must be one of {', '.join(words)}")
    return found


def _moment(name: str, text: str) -> Timestamp:
    try:
        moment = datetime.fromisoformat(text)
        timestamp = Timestamp()
        timestamp.FromDatetime(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise _wrong(name, "moment.form", "must be a moment, as 2030-01-31T12:00:00Z") from None
    return timestamp


def _wrong(name: str, rule: str, problem: str) -> InvalidArgument:
    return InvalidArgument(
        f"{name} {problem}", violations=[FieldViolation(name, rule, f"It {problem}.")]
    )


def _query_parameter(name: str, meaning: str, **schema: object) -> Parameter:
    return Parameter(name, "query", meaning, schema)


OPERATIONS: Final = (
    Operation(
        "listPayments",
        "GET",
        f"{PREFIX}/payments",
        "Payments, newest first, a page at a time.",
        list_payments,
        {200: Success("One page.", PaymentList)},
        (),
        Scope.PAYMENTS_READ,
        parameters=(
            _query_parameter(
                "limit",
                "How many at most.",
                type="integer",
                minimum=1,
                maximum=MAX_PAGE_SIZE,
                default=DEFAULT_PAGE_SIZE,
            ),
            _query_parameter(
                "cursor", "Where to go on: `next_cursor` of the page before.", type="string"
            ),
            _query_parameter(
                "status", "Only payments in these states, with commas.", type="string"
            ),
            _query_parameter(
                "user_id",
                "Only payments of this user.",
                type="string",
                maxLength=MAX_USER_ID_CHARACTERS,
            ),
            _query_parameter(
                "in_doubt", "Only payments that are in doubt, or are not.", type="boolean"
            ),
            _query_parameter(
                "created_from", "Only from this moment on.", type="string", format="date-time"
            ),
            _query_parameter(
                "created_before", "Only before this moment.", type="string", format="date-time"
            ),
        ),
    ),
)
