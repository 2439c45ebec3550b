"""Who is calling: every test key opens an account of its own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from sandbox.errors import Forbidden, InvalidRequest, Unauthenticated
from sandbox.wire import Request

_TEST_KEY: Final = re.compile(r"^(sk|rk)_test_[A-Za-z0-9_]{1,200}$")
_VERSION: Final = re.compile(r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$")


def account_of(key: str) -> str:
    """The account a key opens: the same key, the same account, in every run."""
    return f"acct_{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"


def authenticate(request: Request) -> str:
    """The account a request acts for."""
    key = _presented_key(request.headers.get("authorization", ""))
    if not key:
        raise Unauthenticated(
            "You did not provide an API key. Send it as a bearer token:"
            " 'Authorization: Bearer YOUR_SECRET_KEY'."
        )
    if not _TEST_KEY.match(key):
        raise Unauthenticated(
            f"Invalid API Key provided: {key[:8]}****. The sandbox takes sk_test_… keys only."
        )
    account = account_of(key)
    if request.headers.get("stripe-account", account) != account:
        raise Forbidden(
            "The provided key does not have access to that account, or it does not exist.",
            code="account_invalid",
        )
    return account


def _presented_key(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def requested_version(request: Request) -> str | None:
    """The version of Stripe's API a request asks for; refuses what is none."""
    version = request.headers.get("stripe-version")
    if version is not None and not _VERSION.match(version):
        raise InvalidRequest(f"Invalid Stripe API version: {version[:40]}")
    return version
