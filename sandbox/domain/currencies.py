"""Which currencies and amounts can be charged."""

from __future__ import annotations

from typing import Final

from sandbox.errors import InvalidRequest

MAX_AMOUNT_MINOR: Final = 99_999_999

_CODES: Final = """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd
    cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq
    gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd
    lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk
    php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top
    try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw
"""
SUPPORTED: Final = frozenset(_CODES.split())

_MINIMUM_MINOR: Final = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip

# Card networks settle these in coarser steps than the currency's own minor unit.
_STEP_MINOR: Final = dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 10) | dict.fromkeys(
    ("isk", "ugx"), 100
)


def check_currency(currency: str) -> str:
    """The currency in lower case, if it can be charged."""
    lower = currency.lower()
    if lower not in SUPPORTED:
        raise InvalidRequest(f"Invalid currency: {currency}", param="currency")
    return lower


def check_amount(amount_minor: int, currency: str, *, param: str = "amount") -> None:
    """Refuse an amount no card payment in this currency can have."""
    minimum = _MINIMUM_MINOR.get(currency, 1)
    if amount_minor < minimum:
        raise InvalidRequest(
            f"Amount must be at least {minimum} in {currency}'s smallest unit",
            code="amount_too_small",
            param=param,
        )
    if amount_minor > MAX_AMOUNT_MINOR:
        raise InvalidRequest(
            f"Amount must be no more than {MAX_AMOUNT_MINOR}", code="amount_too_large", param=param
        )
    step = _STEP_MINOR.get(currency, 1)
    if amount_minor % step:
        raise InvalidRequest(
            f"Amounts in {currency} must be multiples of {step}",
            code="invalid_charge_amount",
            param=param,
        )
