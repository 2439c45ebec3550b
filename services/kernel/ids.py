"""Typed identifiers: a prefix that says what a thing is, over a UUIDv7 that says when it was made.

An id is a str, so that it goes anywhere text goes, and sorts by creation time within its kind. The
type is what keeps a refund's id out of a payment's place; the prefix does the same at run time.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

import uuid_utils

from services.kernel.errors import FieldViolation, InvalidArgument, Reason

_UUID7_HEX = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _in_words(class_name: str) -> str:
    """What the ids of a class are of, as people call it: an API key, a ledger transaction."""
    words = " ".join(re.findall("[A-Z][a-z]+", class_name.removesuffix("Id"))).lower()
    article = "an" if words[0] in "aeio" else "a"
    return f"{article} {words}".replace("api ", "API ")


class Id(str):
    """The base of every kind of id; only subclasses, which have a prefix, are made."""

    __slots__ = ()

    prefix: ClassVar[str]
    _lead: ClassVar[str]
    _called: ClassVar[str]

    def __init_subclass__(cls, *, prefix: str) -> None:
        super().__init_subclass__()
        cls.prefix = prefix
        cls._lead = prefix + "_"
        cls._called = _in_words(cls.__name__)

    @classmethod
    def new(cls) -> Self:
        """A fresh id; later ones from the same process compare greater."""
        return cls(cls._lead + uuid_utils.uuid7().hex)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id that came from outside, or refuse it."""
        lead = cls._lead
        if not text.startswith(lead) or _UUID7_HEX.fullmatch(text, len(lead)) is None:
            message = f"must be {lead} and 32 lower-case hex digits"
            violation = FieldViolation("id", f"id.{cls.prefix}", message)
            raise InvalidArgument(
                f"this is not the id of {cls._called}: it {message}",
                reason=Reason.ID_MALFORMED,
                violations=[violation],
            )
        return cls(text)

    @classmethod
    def of_hex(cls, digits: str) -> Self:
        """The id of what a database keeps as a UUID, from its 32 hex digits."""
        return cls(cls._lead + digits)

    @property
    def hex(self) -> str:
        """The 32 hex digits behind the prefix, as a database keeps them."""
        return self[len(self._lead) :]

    @property
    def created_at(self) -> datetime:
        """When the id was made, to the millisecond, as its UUIDv7 says."""
        start = len(self._lead)
        return _EPOCH + timedelta(milliseconds=int(self[start : start + 12], 16))


class MerchantId(Id, prefix="mer"):
    """A merchant."""


class ApiKeyId(Id, prefix="key"):
    """A merchant's API key: its public id, never the secret."""


class RequestId(Id, prefix="req"):
    """One request as it entered the house; it follows the work through logs and traces."""


class PaymentId(Id, prefix="pay"):
    """A payment, from intent to settlement."""


class PlanId(Id, prefix="plan"):
    """A payment plan: what is to be done for one payment."""


class StepId(Id, prefix="step"):
    """One step of a payment plan."""


class AttemptId(Id, prefix="att"):
    """One attempt of a step at one processor; the processor's idempotency key comes from it."""


class RefundId(Id, prefix="re"):
    """A refund of a payment."""


class RefundPartId(Id, prefix="rep"):
    """The part of a refund that goes back through one step."""


class DisputeId(Id, prefix="dp"):
    """A dispute that a cardholder's bank opened."""


class EventId(Id, prefix="evt"):
    """A domain event, the same on every bus and in every inbox."""


class DeadLetterId(Id, prefix="dlq"):
    """A message that its consumer has given up on."""


class LedgerTransactionId(Id, prefix="ltx"):
    """A balanced transaction in the ledger."""


class LedgerEntryId(Id, prefix="len"):
    """One leg of a ledger transaction."""


class PostingId(Id, prefix="post"):
    """A posting that the orchestrator owes the ledger."""


class WebhookEventId(Id, prefix="whe"):
    """An event a processor sent us, or that we fetched from it."""


class WebhookSecretId(Id, prefix="whs"):
    """A secret that signs what goes to a merchant's endpoint: its public id, never the secret."""


class WebhookDeliveryId(Id, prefix="whd"):
    """One event on its way to one merchant endpoint."""


class ViolationId(Id, prefix="viol"):
    """A breach of one of the platform's own contracts."""


class ComplaintId(Id, prefix="cmp"):
    """A complaint from outside that a contract was not kept."""


class ReportId(Id, prefix="rpt"):
    """A retrospective or reconciliation report."""


class SubscriptionId(Id, prefix="sub"):
    """A customer's subscription to a billing plan."""
