"""Webhook endpoints: where an account wants its events sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.domain.work import Entity, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint(Entity):
    """One URL, the events it wants, and the secret its deliveries are signed with."""

    kind: ClassVar[str] = "webhook_endpoint"
    prefix: ClassVar[str] = "we"

    url: str
    secret: str
    enabled_events: tuple[str, ...] = ("*",)
    api_version: str | None = None
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    disabled: bool = False
    deleted: bool = False

    def wants(self, event_type: str) -> bool:
        """Whether an event of this type is to be sent here."""
        live = not self.disabled and not self.deleted
        return live and ("*" in self.enabled_events or event_type in self.enabled_events)


def fresh_secret(work: Work) -> str:
    """A signing secret in Stripe's form."""
    return f"whsec_{work.seed.token('webhook_secret', work.books.next_sequence())}"
