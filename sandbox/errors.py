"""The errors the sandbox answers with: Stripe's types, codes and HTTP statuses."""

from __future__ import annotations

from typing import Any


class StripeError(Exception):
    """An answer that is an error. `stored` says whether its idempotency key replays it."""

    status = 400
    type = "invalid_request_error"
    stored = False
    # Only an error that tells of something done (a decline) keeps what was done before it.
    keeps_changes = False

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param

    def body(self) -> dict[str, Any]:
        """The error object, without what only a renderer can add."""
        fields = {"code": self.code, "message": self.message, "param": self.param}
        return {k: v for k, v in fields.items() if v is not None} | {"type": self.type}


class InvalidRequest(StripeError):
    """A parameter that cannot be accepted: refused before anything is executed."""


class NotFound(StripeError):
    """No such object in this account, or no such URL."""

    status = 404


class Unauthenticated(StripeError):
    """No API key, or none that opens an account."""

    status = 401


class Forbidden(StripeError):
    """The key is good, but not for the account that was named."""

    status = 403


class Refused(StripeError):
    """Well-formed and executed, but the state of things forbids it."""

    stored = True

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, entity: Any = None
    ) -> None:
        super().__init__(message, code=code, param=param)
        self.entity = entity


class CardError(Refused):
    """The card was refused; the intent and its failed charge are kept."""

    status = 402
    type = "card_error"
    keeps_changes = True

    def __init__(
        self,
        message: str,
        *,
        code: str,
        decline_code: str | None = None,
        param: str | None = None,
        charge: str | None = None,
        entity: Any = None,
    ) -> None:
        super().__init__(message, code=code, param=param, entity=entity)
        self.decline_code = decline_code
        self.charge = charge

    def body(self) -> dict[str, Any]:
        """The error object, with why the card was refused."""
        extra = {"decline_code": self.decline_code, "charge": self.charge}
        return super().body() | {k: v for k, v in extra.items() if v is not None}


class InvalidCard(CardError):
    """Card data that no bank would see: refused as a card error, before anything is executed."""

    stored = False
    keeps_changes = False


class KeyReused(StripeError):
    """An idempotency key came back with another request."""

    type = "idempotency_error"


class KeyInUse(StripeError):
    """An idempotency key came back while its first request is still being worked on."""

    status = 409
    type = "idempotency_error"


class RateLimited(StripeError):
    """Too many requests; nothing was executed and nothing is remembered."""

    status = 429


class ServerFailed(StripeError):
    """Stripe's own trouble, whatever was done by then; its idempotency key replays it."""

    status = 500
    type = "api_error"
    stored = True
    keeps_changes = True


def missing(kind: str, object_id: str, *, param: str = "id") -> NotFound:
    """No such object, told as Stripe tells it."""
    return NotFound(f"No such {kind}: '{object_id}'", code="resource_missing", param=param)
