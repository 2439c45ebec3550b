"""Numbers as people write them: which separators group digits, and which one begins the decimals.

A space and an apostrophe only ever group. Of a point and a comma that both occur, the last begins
the decimals. One that occurs alone and several times groups; alone and once it begins the decimals,
unless exactly three digits follow: then the currency decides, for in one with three decimals people
write all three, in one with none there is nothing else that it could be, and in the others a comma
groups thousands while a point is a point.
"""

import re
from typing import Final, NamedTuple

_THOUSANDS: Final = {
    separator: re.compile(rf"[1-9]\d{{0,2}}(?:{re.escape(separator)}\d{{3}})+", re.ASCII)
    for separator in ".,' "
}
_LAKHS: Final = re.compile(r"[1-9]\d?(?:,\d{2})+,\d{3}", re.ASCII)


class WrittenNumber(NamedTuple):
    """The digits before and after the decimal point."""

    whole: str
    decimals: str
    by_currency: bool = False


def read_number(text: str, exponent: int) -> WrittenNumber | None:
    """Read digits and separators as an amount in a currency with so many decimals."""
    separators = [character for character in text if not character.isdecimal()]
    if not separators:
        return WrittenNumber(text, "")
    last, kinds = separators[-1], set(separators)
    if last not in ".," or separators.count(last) > 1:
        return WrittenNumber(_ungrouped(text), "") if _is_grouped(text) else None
    whole, _, decimals = text.rpartition(last)
    if len(kinds) == 1:
        return _with_one_separator(text, whole, last, decimals, exponent)
    return WrittenNumber(_ungrouped(whole), decimals) if _is_grouped(whole) else None


def read_whole(text: str) -> WrittenNumber | None:
    """Read digits and separators that can only group, since the decimal point comes after them."""
    if text.isdecimal() or _is_grouped(text):
        return WrittenNumber(_ungrouped(text), "")
    return None


def _with_one_separator(
    text: str, whole: str, separator: str, decimals: str, exponent: int
) -> WrittenNumber:
    if not _is_grouped(text):
        return WrittenNumber(whole or "0", decimals)
    if exponent >= len(decimals):
        return WrittenNumber(whole, decimals, by_currency=True)
    if separator == "," or exponent == 0:
        return WrittenNumber(whole + decimals, "", by_currency=True)
    return WrittenNumber(whole, decimals)


def _is_grouped(text: str) -> bool:
    return any(form.fullmatch(text) for form in (*_THOUSANDS.values(), _LAKHS))


def _ungrouped(text: str) -> str:
    return "".join(character for character in text if character.isdecimal())
