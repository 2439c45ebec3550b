"""Values that are neither money nor a method: texts, choices, yes or no, countries, addresses."""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from gateway.reading.notes import Notes, Place
from gateway.reading.rules import fields as rules

MAX_EMAIL_CHARACTERS: Final = 254
MAX_URL_CHARACTERS: Final = 2048

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EMAIL: Final = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\".]+")
_URL: Final = re.compile(r"https?://[^\s/?#\\]+[^\s\\]*", re.IGNORECASE)
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)
_NOT_A_LETTER: Final = re.compile(r"[^a-z0-9]")
_YES: Final = frozenset({"true", "yes", "1", "on"})
_NO: Final = frozenset({"false", "no", "0", "off"})

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def read_text(notes: Notes, path: str, value: object, *, max_characters: int) -> str | None:
    """A text of one line, or a whole number taken for one; None where there is none to take."""
    place = Place(notes, path, value)
    if type(value) is int:
        text = str(value)
        place.note(rules.TEXT_FROM_NUMBER, text)
    elif isinstance(value, str):
        text = value.strip()
        if not text:
            place.note(rules.TEXT_EMPTY)
            return None
        if text != value:
            place.note(rules.TEXT_TRIMMED, text)
    else:
        place.note(rules.WRONG_TYPE)
        return None
    if len(text) > max_characters:
        place.note(
            rules.TEXT_TOO_LONG, message=f"At most {max_characters}, and it has {len(text)}."
        )
        return None
    if not text.isprintable() and CONTROL.search(text):
        place.note(rules.TEXT_CONTROL)
        return None
    return text


def plain_form(text: str) -> str:
    """The letters and digits of a word, however it was spelled: `applepay`."""
    return _NOT_A_LETTER.sub("", text.lower())


def read_choice(
    notes: Notes, path: str, value: object, *, choices: Mapping[str, ChoiceT]
) -> ChoiceT | None:
    """One of the choices, by its own word or by the plain form of another."""
    place = Place(notes, path, value)
    if isinstance(value, str | bool):
        text = str(value)
        choice = choices.get(text)
        if choice is not None and choice == text:
            return choice
        choice = choices.get(plain_form(text))
        if choice is not None:
            place.note(rules.CHOICE_FORM, choice)
            return choice
    listed = ", ".join(sorted(set(choices.values())))
    place.note(rules.CHOICE_UNKNOWN, message=f"There are {listed}.")
    return None


def read_flag(notes: Notes, path: str, value: object) -> bool | None:
    """Yes or no."""
    if isinstance(value, bool):
        return value
    place = Place(notes, path, value)
    if isinstance(value, str | int):
        word = str(value).strip().lower()
        if word in _YES or word in _NO:
            place.note(rules.FLAG_FORM, str(word in _YES).lower())
            return word in _YES
    place.note(rules.WRONG_TYPE)
    return None


def read_email(notes: Notes, path: str, value: object) -> str | None:
    """An e-mail address, or nothing: a payment does not fail for a message that cannot be sent."""
    text = value.strip() if isinstance(value, str) else ""
    if len(text) <= MAX_EMAIL_CHARACTERS and _EMAIL.fullmatch(text) and text.isprintable():
        if text != value:
            notes.note(rules.TEXT_TRIMMED, path, value, text)
        return text
    notes.note(rules.EMAIL_UNUSABLE, path, value)
    return None


def read_url(notes: Notes, path: str, value: object) -> str | None:
    """A web address, or nothing."""
    text = value.strip() if isinstance(value, str) else ""
    if len(text) <= MAX_URL_CHARACTERS and _URL.fullmatch(text) and text.isprintable():
        if text != value:
            notes.note(rules.TEXT_TRIMMED, path, value, text)
        return text
    notes.note(rules.RETURN_URL_UNUSABLE, path, value)
    return None


def read_country(notes: Notes, path: str, value: object) -> str | None:
    """Two capital letters, or nothing."""
    if isinstance(value, str):
        if _COUNTRY.fullmatch(value):
            return value
        country = value.strip().upper()
        if _COUNTRY.fullmatch(country):
            notes.note(rules.COUNTRY_FORM, path, value, country)
            return country
    notes.note(rules.COUNTRY_UNUSABLE, path, value)
    return None


def text_of(value: object) -> str:
    """A scalar of JSON as the text that JSON would write."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and abs(value.adjusted()) <= 32:
        return format(value, "f")
    return str(value)
