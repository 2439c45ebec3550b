"""The page a card's bank would show: the customer completes the authentication, or fails it."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from html import escape
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from sandbox.commit import Committer
from sandbox.domain import confirmations
from sandbox.domain.payment_intents import PaymentIntent, State
from sandbox.domain.payment_methods import PaymentMethod
from sandbox.resources.payment_intent_shape import authentication_url
from sandbox.shapes import View
from sandbox.wire import Answer, Request

PREFIX: Final = "/3d_secure/"

_HTML_HEADERS: Final = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; background: #f4f5f7; color: #1a1f36; margin: 0; }}
main {{ max-width: 26rem; margin: 12vh auto; padding: 2rem; background: #fff;
        border-radius: 8px; box-shadow: 0 2px 12px rgb(0 0 0 / 12%); }}
h1 {{ font-size: 1.25rem; margin-top: 0; }}
form {{ display: flex; gap: .75rem; }}
button {{ flex: 1; padding: .7rem; font: inherit; border-radius: 6px; cursor: pointer;
          border: 1px solid #b3261e; background: #fff; color: #b3261e; }}
#complete {{ border-color: #1f6f43; background: #1f6f43; color: #fff; }}
</style>
</head>
<body><main><h1>{title}</h1>{content}</main></body>
</html>
"""
_QUESTION: Final = """
<p>A payment of <strong id="amount">{amount} {currency}</strong> (in its smallest unit) with a
{brand} card ending in {last4} asks for your authentication. This is a test page.</p>
<form method="post" action="{action}">
<button id="complete" name="outcome" value="complete">Complete</button>
<button id="fail" name="outcome" value="fail">Fail</button>
</form>
"""


class ThreeDSecure:
    """Serves the page of one intent and takes the customer's answer."""

    def __init__(self, committer: Committer, view: Callable[[], View]) -> None:
        self._committer = committer
        self._view = view

    async def __call__(self, request: Request) -> Answer:
        """Show the page (GET) or take the answer (POST)."""
        intent = self._intent(request.path.removeprefix(PREFIX))
        if intent is None or request.method not in ("GET", "POST"):
            return _page(404, "Not found", "<p>There is no such authentication.</p>")
        if request.method == "POST" and intent.state is State.REQUIRES_ACTION:
            return await self._take_answer(request, intent)
        if intent.state is not State.REQUIRES_ACTION:
            return self._leave(intent)
        return self._ask(intent)

    def _intent(self, path: str) -> PaymentIntent | None:
        intent_id, _, token = path.partition("/")
        intent = self._committer.storage.find(PaymentIntent, intent_id)
        if intent is None:
            return None
        expected = intent.client_secret.rpartition("_")[2]
        return intent if hmac.compare_digest(token.encode(), expected.encode()) else None

    def _ask(self, intent: PaymentIntent) -> Answer:
        work = self._committer.open_work(intent.account)
        assert intent.payment_method is not None
        card = work.get(PaymentMethod, intent.payment_method).card
        content = _QUESTION.format(
            amount=intent.amount,
            currency=escape(intent.currency.upper()),
            brand=escape(card.catalogued.brand),
            last4=escape(card.last4),
            action=escape(urlsplit(authentication_url(intent, self._view())).path),
        )
        return _page(200, "Authenticate your payment", content)

    async def _take_answer(self, request: Request, intent: PaymentIntent) -> Answer:
        outcome = parse_qs(request.body.decode("latin-1")).get("outcome", [""])[0]
        if outcome not in ("complete", "fail"):
            return _page(400, "Which is it?", "<p>The answer is complete or fail.</p>")
        work = self._committer.open_work(intent.account)
        if outcome == "complete":
            intent = confirmations.authentication_succeeded(work, intent)
        else:
            intent = confirmations.authentication_failed(work, intent)
        self._committer.commit(work)
        await self._committer.storage.durable()
        return self._leave(intent)

    def _leave(self, intent: PaymentIntent) -> Answer:
        failed = intent.last_payment_error is not None or intent.state is State.CANCELED
        status = "failed" if failed else "succeeded"
        if intent.return_url is None:
            return _page(200, f"Authentication {status}", "<p>You can close this page.</p>")
        return Answer(303, b"", {"Location": _returning(intent.return_url, intent, status)})


def _returning(return_url: str, intent: PaymentIntent, status: str) -> str:
    parts = urlsplit(return_url)
    query = [
        *parse_qsl(parts.query, keep_blank_values=True),
        ("payment_intent", intent.id),
        ("payment_intent_client_secret", intent.client_secret),
        ("redirect_status", status),
    ]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _page(status: int, title: str, content: str) -> Answer:
    return Answer(
        status, _PAGE.format(title=escape(title), content=content).encode(), _HTML_HEADERS
    )
