"""One request while it is being read: what came, what was said of each field, what was remarked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import uuid_utils

from gateway.reading.card_data import may_hold_card_data, without_card_data
from gateway.reading.names import Claims, Vocabulary, gather
from gateway.reading.notes import Notes, Place
from gateway.reading.picking import FieldT, Reader, pick
from gateway.reading.rules import bodies, fields
from gateway.reading.values import CONTROL
from services.kernel.context import MAX_IDEMPOTENCY_KEY_CHARACTERS, ValidationIssue
from services.kernel.errors import InvalidArgument
from services.kernel.ids import ApiKeyId, MerchantId, PaymentId, RequestId
from services.kernel.money import Currency

KEY_HEADER: Final = "Idempotency-Key"
REQUEST_ID_HEADER: Final = "Request-Id"
CONTENT_TYPE_HEADER: Final = "Content-Type"
_OWN: Final = {name.lower(): name for name in (KEY_HEADER, REQUEST_ID_HEADER, CONTENT_TYPE_HEADER)}
_OWN_LENGTHS: Final = frozenset(map(len, _OWN))
# Tools put it there unasked, so that it says nothing about what was sent.
_UNASKED: Final = "application/x-www-form-urlencoded"
_JSON: Final = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?json", re.ASCII)
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\s;\"]*)", re.ASCII)
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_KEY: Final = "idempotency_key"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came: a decoded body, headers in any case, the query, and what decoding
    remarked; and the id that it goes by already, should its own header name none.
    """

    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    issues: tuple[ValidationIssue, ...] = ()
    request_id: RequestId | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is, as the API key says, and the currency of those who name none."""

    merchant_id: MerchantId
    api_key_id: ApiKeyId | None = None
    default_currency: Currency | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """How a call is known: its id, its key, whether that was made here, and every issue."""

    request_id: RequestId
    idempotency_key: str
    idempotency_key_generated: bool
    issues: tuple[ValidationIssue, ...]


class Reading:
    """A request whose fields are picked one by one; `settle` ends it."""

    def __init__(
        self, vocabulary: Vocabulary, incoming: Incoming, merchant_id: MerchantId | None
    ) -> None:
        self.notes = Notes(incoming.issues)
        own = _own_headers(incoming.headers)
        key, request_id = own.get(KEY_HEADER), own.get(REQUEST_ID_HEADER)
        body = without_card_data(incoming.body, self.notes)
        query = without_card_data(incoming.query, self.notes, "query") if incoming.query else {}
        for name, value in ((KEY_HEADER, key), (REQUEST_ID_HEADER, request_id)):
            if value is not None and may_hold_card_data(name, value):
                without_card_data({name: value}, self.notes)
        content_type = own.get(CONTENT_TYPE_HEADER)
        if content_type is not None and body and not _is_json(content_type):
            self.notes.note(bodies.CONTENT_TYPE, CONTENT_TYPE_HEADER, content_type)
        self.claims: Claims = gather(vocabulary, body, query, self.notes)
        self.request_id = self._request_id(request_id, incoming.request_id)
        self.idempotency_key, self.is_key_generated = self._idempotency_key(key)
        if merchant_id is not None:
            self._check_merchant(merchant_id)

    def has(self, name: str) -> bool:
        """Whether anything was said of the field."""
        return name in self.claims

    def pick(self, name: str, read: Reader[FieldT]) -> FieldT | None:
        """The field as `read` reads it; None if it was not sent or cannot be used."""
        # The check that `pick` makes too: most fields are absent, and a call costs more than it.
        return pick(self.claims, name, read, self.notes) if name in self.claims else None

    def payment_id(self, target: str | None) -> PaymentId | None:
        """The payment meant: the target that the path of the request names, or a field."""
        if target is not None:
            self.claims.setdefault("payment_id", []).insert(0, ("path", target))
        elif not self.has("payment_id"):
            self.notes.note(fields.MISSING, "payment_id")
        return self.pick("payment_id", _read_payment_id)

    def settle(self) -> Call:
        """How the call is known and all that was remarked; raises Refusal if it means nothing."""
        return Call(
            self.request_id, self.idempotency_key, self.is_key_generated, self.notes.settle()
        )

    def _request_id(self, header: str | None, given: RequestId | None) -> RequestId:
        if header is None:
            return given or RequestId.new()
        try:
            return RequestId.parse(header)
        except InvalidArgument:
            made = given or RequestId.new()
            self.notes.note(bodies.REQUEST_ID_REPLACED, REQUEST_ID_HEADER, header, made)
            return made

    def _idempotency_key(self, header: str | None) -> tuple[str, bool]:
        sent = self.claims.get(_KEY, [])
        if header is not None:
            sent = [(KEY_HEADER, header), *sent]
        if not sent:
            made = f"auto_{uuid_utils.uuid7().hex}"
            self.notes.note(bodies.KEY_GENERATED, KEY_HEADER, "", made)
            return made, True
        keys = [self._key(path, value) for path, value in sent]
        for (path, value), key in zip(sent, keys, strict=True):
            if key != keys[0]:
                told = f"{sent[0][0]} and {path} differ."
                self.notes.note(bodies.KEY_MISMATCH, path, value, message=told)
        return keys[0], False

    def _key(self, path: str, value: object) -> str:
        place = Place(self.notes, path, value)
        if type(value) is int:
            place.note(fields.TEXT_FROM_NUMBER, value)
            value = str(value)
        if not isinstance(value, str):
            place.note(fields.WRONG_TYPE)
            return ""
        if not value.strip():
            place.note(bodies.KEY_EMPTY)
        elif len(value) > MAX_IDEMPOTENCY_KEY_CHARACTERS:
            place.note(fields.TEXT_TOO_LONG, message=f"At most {MAX_IDEMPOTENCY_KEY_CHARACTERS}.")
        elif CONTROL.search(value):
            place.note(fields.TEXT_CONTROL)
        return value

    def _check_merchant(self, merchant_id: MerchantId) -> None:
        for path, value in self.claims.get("merchant_id", ()):
            if value == merchant_id:
                continue
            is_id = isinstance(value, str) and value.startswith(f"{MerchantId.prefix}_")
            rule = fields.MERCHANT_MISMATCH if is_id else fields.MERCHANT_NAMED
            self.notes.note(rule, path, value)


def _own_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers that are read here, by the names that they are known by."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        # By length first: most headers are none of them.
        if len(name) in _OWN_LENGTHS and (own := _OWN.get(name.lower())):
            found[own] = value
    return found


def _is_json(content_type: str) -> bool:
    """Whether a Content-Type says what is read here, or nothing."""
    media_type, _, parameters = content_type.strip().lower().partition(";")
    if media_type.strip() == _UNASKED:
        return True
    charset = _CHARSET.search(parameters)
    is_readable = charset is None or charset[1] in _CHARSETS
    return is_readable and _JSON.fullmatch(media_type.strip()) is not None


def _read_payment_id(notes: Notes, path: str, value: object) -> PaymentId | None:
    try:
        return PaymentId.parse(value if isinstance(value, str) else "")
    except InvalidArgument:
        notes.note(fields.ID_MALFORMED, path, value, message="It begins with pay_.")
        return None
