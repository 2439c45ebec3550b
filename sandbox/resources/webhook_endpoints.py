"""/v1/webhook_endpoints: where events are to be sent, and the secret they are signed with."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from sandbox.domain.webhook_endpoints import WebhookEndpoint, fresh_secret
from sandbox.domain.work import merged_metadata
from sandbox.errors import InvalidRequest, missing
from sandbox.listing import list_page
from sandbox.parameters import (
    Anything,
    Boolean,
    ListOf,
    Metadata,
    Parameter,
    Text,
    listing,
    operation,
)
from sandbox.routing import Call, Listing, Route
from sandbox.shapes import Json, View, shapes

_CHANGEABLE: Final[dict[str, Parameter]] = {
    "url": Text(unsettable=False),
    "enabled_events": ListOf(Text(unsettable=False), 500),
    "description": Text(),
    "metadata": Metadata(),
}


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest("Invalid URL: it must be an absolute http or https URL.", param="url")
    return url


def _create(call: Call) -> Json:
    params = call.params
    endpoint = call.work.put(
        WebhookEndpoint(
            **call.work.identity(WebhookEndpoint),
            url=_check_url(params["url"]),
            secret=fresh_secret(call.work),
            enabled_events=params["enabled_events"],
            api_version=params.get("api_version"),
            description=params.get("description"),
            metadata=merged_metadata({}, params.get("metadata", {})),
        )
    )
    # The one answer that tells the secret.
    return {**_public_shape(endpoint), "secret": endpoint.secret}


def _get(call: Call) -> WebhookEndpoint:
    endpoint = call.work.get(WebhookEndpoint, call.id, param="webhook_endpoint")
    if endpoint.deleted:
        raise missing(WebhookEndpoint.kind, call.id, param="webhook_endpoint")
    return endpoint


def _update(call: Call) -> WebhookEndpoint:
    before, params = _get(call), call.params
    changes = call.given("enabled_events", "description", "disabled")
    if "url" in params:
        changes["url"] = _check_url(params["url"])
    if "metadata" in params:
        changes["metadata"] = merged_metadata(before.metadata, params["metadata"])
    return call.work.put(replace(before, **changes))


def _delete(call: Call) -> Json:
    call.work.put(replace(_get(call), deleted=True))
    return {"id": call.id, "object": "webhook_endpoint", "deleted": True}


def _list(call: Call) -> Listing:
    return list_page(call, WebhookEndpoint, always=(("json_extract(data, '$.deleted') = 0", ()),))


ROUTES: Final = (
    Route(
        "POST",
        "webhook_endpoints",
        "webhook_endpoints.create",
        operation(
            _CHANGEABLE,
            required=("url", "enabled_events"),
            api_version=Text(),
            connect=Anything(),
        ),
        _create,
    ),
    Route("GET", "webhook_endpoints/{id}", "webhook_endpoints.retrieve", operation(), _get),
    Route(
        "POST",
        "webhook_endpoints/{id}",
        "webhook_endpoints.update",
        operation(_CHANGEABLE, disabled=Boolean()),
        _update,
    ),
    Route("DELETE", "webhook_endpoints/{id}", "webhook_endpoints.delete", operation(), _delete),
    Route("GET", "webhook_endpoints", "webhook_endpoints.list", listing(), _list),
)


@shapes(WebhookEndpoint)
def webhook_endpoint_shape(endpoint: WebhookEndpoint, view: View) -> Json:  # noqa: ARG001 (every shape's signature)
    """A webhook endpoint as Stripe shows it, without its secret."""
    return _public_shape(endpoint)


def _public_shape(endpoint: WebhookEndpoint) -> Json:
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version,
        "application": None,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": list(endpoint.enabled_events),
        "livemode": False,
        "metadata": endpoint.metadata,
        "status": "disabled" if endpoint.disabled else "enabled",
        "url": endpoint.url,
    }
