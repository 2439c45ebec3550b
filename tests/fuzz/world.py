"""Who and what is there before anything hostile comes, for requests to name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """Keys to call with, and things to call about."""

    http_address: str
    grpc_address: str
    grpc_token: str
    api_key: str
    """A merchant's, who pays at the sandbox."""
    merchant_id: str
    admin_key: str
    webhook_secret: str
    held_id: str
    """Payments of the merchant's: one authorized, one captured."""
    captured_id: str
    others_payment_id: str
    """One of another merchant's."""
    internal_merchant_id: str
    """A merchant of the gRPC side's own, whose payments the sandbox knows nothing of."""
    internal_payment_ids: tuple[str, ...]
    internal_key_ids: tuple[str, ...]
