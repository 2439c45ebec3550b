"""The key itself: recognisable, mistyped ones are known, nothing shows it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from services.access.domain.call import Done
from services.access.domain.key import NewKey
from services.access.domain.secret import Pepper, hint_of, is_well_formed, new_secret
from services.access.service.keys import Shown
from services.kernel.ids import ApiKeyId
from services.kernel.redaction import find_card_data, redact, redact_text
from tests.access.keys import a_key

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_key_has_the_form_that_scanners_are_told_of() -> None:
    made = {new_secret() for _ in range(1_000)}
    assert len(made) == 1_000
    for secret in made:
        assert re.fullmatch(r"syk_[0-9A-Za-z]{49}", secret)
        assert is_well_formed(secret)


@given(st.integers(4, 52), st.sampled_from(_ALPHABET))
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    secret = new_secret()
    mistyped = secret[:place] + character + secret[place + 1 :]
    assert is_well_formed(mistyped) == (mistyped == secret)


@given(st.integers(4, 51))
def test_two_characters_swapped_are_noticed(place: int) -> None:
    secret = new_secret()
    swapped = secret[:place] + secret[place + 1] + secret[place] + secret[place + 2 :]
    assert is_well_formed(swapped) == (swapped == secret)


@given(st.text())
def test_other_text_is_no_key(text: str) -> None:
    assert not is_well_formed(text)
    assert not is_well_formed(new_secret() + text + "\n")


def test_another_pepper_makes_another_digest() -> None:
    secret = new_secret()
    one, other = Pepper(b"one"), Pepper(b"other")
    assert one.digest(secret) != other.digest(secret)
    assert one.mark != other.mark
    assert len(one.digest(secret)) == 32


def test_a_hint_shows_four_characters_at_each_end() -> None:
    secret = new_secret()
    assert hint_of(secret) == f"syk_{secret[4:8]}…{secret[-4:]}"


def test_nothing_that_holds_a_secret_shows_it() -> None:
    secret = new_secret()
    shown = Shown(a_key(), None, secret, replayed=False)
    assert secret not in repr(shown) + repr(Done(shown, replayed=False))
    assert "pepper" not in repr(Pepper(b"pepper"))
    assert secret not in repr(NewKey(ApiKeyId.new(), hint_of(secret), Pepper(b"p").digest(secret)))


@given(st.text(max_size=5), st.text(max_size=5))
def test_a_key_in_a_log_is_masked_wherever_it_stands(before: str, after: str) -> None:
    secret = new_secret()
    line = {"event": before + secret + after, secret: {"deep": [secret.encode()]}}
    assert secret not in str(redact(line))
    assert secret[:40] not in redact_text(before + secret[:40])


def test_a_key_is_no_card_data() -> None:
    assert find_card_data({"note": new_secret(), new_secret(): 1}) == ()


def test_a_hint_is_no_key_and_stays_readable() -> None:
    hint = hint_of(new_secret())
    assert redact_text(hint) == hint
