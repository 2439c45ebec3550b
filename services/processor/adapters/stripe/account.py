"""Opening a Stripe account: where its key comes from, and which keys are refused."""

from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.kernel.context import PaymentMethod
from services.processor.adapters.kind import AdapterKind, Made, Options, OptionsError, Surroundings
from services.processor.adapters.stripe.adapter import StripeAdapter
from services.processor.adapters.stripe.api import StripeApi

# Stripe keeps a key for 24 hours at least; what is sent must arrive well before.
KEY_WINDOW: Final = timedelta(hours=24)

_TEST_KEYS: Final = ("sk_test_", "rk_test_")
_LIVE_KEYS: Final = ("sk_live_", "rk_live_")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class StripeOptions(Options):
    """One account. The key itself is never written here, only where to find it."""

    api_key_env: str | None = None
    """The environment variable that holds the secret key."""
    api_key_file: Path | None = None
    """The file that holds it, as container platforms mount secrets."""
    base_url: str = "https://api.stripe.com"
    """Where Stripe answers: a sandbox is another address."""
    return_url: str | None = None
    # Where the secrets are that sign the account's webhooks; WebhookService reads them.
    webhook_secret_env: str | None = None
    webhook_secret_file: Path | None = None


def open_account(options: StripeOptions, surroundings: Surroundings) -> Made:
    """An adapter for the account, unless its key must not be used."""
    api_key = _key(options, surroundings)
    live = api_key.startswith(_LIVE_KEYS)
    if live and not surroundings.allow_live_keys:
        raise OptionsError(
            "its key moves real money: set STRIPE_ALLOW_LIVE_KEYS=true if that is what you want"
        )
    if not live and not api_key.startswith(_TEST_KEYS):
        raise OptionsError(f"its key is no secret key of Stripe's: it wants {_TEST_KEYS[0]}…")
    api = StripeApi(api_key, _checked_url(options.base_url, live))
    return_url = options.return_url or surroundings.return_url
    return Made(StripeAdapter(api, return_url=return_url), live)


def _key(options: StripeOptions, surroundings: Surroundings) -> str:
    if (options.api_key_env is None) == (options.api_key_file is None):
        raise OptionsError("say api_key_env or api_key_file, and not both")
    if options.api_key_file is not None:
        try:
            key = options.api_key_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise OptionsError(f"api_key_file cannot be read: {type(error).__name__}") from error
    else:
        key = surroundings.environment.get(options.api_key_env or "", "").strip()
    if not key:
        where = options.api_key_env or options.api_key_file
        raise OptionsError(f"there is no key in {where}")
    return key


def _checked_url(url: str, live: bool) -> str:
    try:
        parts = urlsplit(url)
        host, scheme = parts.hostname, parts.scheme
    except ValueError:
        host, scheme = None, ""
    if not host or scheme not in ("http", "https"):
        raise OptionsError("base_url is no address of the form https://host")
    if live and scheme != "https" and host not in _LOOPBACK:
        raise OptionsError("base_url would send a live key in the clear: it wants https://")
    return url.rstrip("/")


KIND: Final = AdapterKind(
    options=StripeOptions,
    make=open_account,
    methods=(PaymentMethod.CARD,),
    key_window=KEY_WINDOW,
)
