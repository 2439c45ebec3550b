"""Which processors there are, and everything that is wrong with what was said of them, at once."""

from pathlib import Path
from typing import Any

import pytest

from services.kernel.clock import SystemClock
from services.kernel.context import CardNetwork, PaymentMethod
from services.processor.configuration import open_processors
from services.processor.domain.profile import ProcessorState, Profile
from services.processor.service.adapter import Processor
from services.runtime.settings import Settings, SettingsError

TEST_KEY = "sk_test_abc"
LIVE_KEY = "sk_live_abc"


def opened(
    file: Path | None = None, environment: dict[str, str] | None = None, **settings: Any
) -> dict[str, Processor]:
    found = open_processors(
        Settings(processors_file=file, **settings), SystemClock(), environment or {}
    )
    return {processor.profile.id: processor for processor in found}


def refused(file: Path | None, environment: dict[str, str] | None = None, **more: Any) -> list[str]:
    with pytest.raises(SettingsError) as error:
        opened(file, environment, **more)
    return str(error.value).splitlines()


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        file = tmp_path / "processors.toml"
        file.write_text(text)
        return file

    return write


def test_without_a_file_there_is_the_simulated_one() -> None:
    assert list(opened()) == ["simulated"]


def test_a_key_brings_stripe_and_apple_pay() -> None:
    found = opened(environment={"STRIPE_API_KEY": TEST_KEY})
    assert {name: one.profile.methods for name, one in found.items()} == {
        "simulated": (PaymentMethod.CARD, PaymentMethod.APPLE_PAY),
        "stripe": (PaymentMethod.CARD,),
        "apple_pay": (PaymentMethod.APPLE_PAY,),
    }
    assert not any(one.profile.live for one in found.values())


def test_a_file_names_accounts_with_keys_of_their_own(write: Any, tmp_path: Path) -> None:
    secret = tmp_path / "stripe_us"
    secret.write_text(f"{TEST_KEY}\n")
    file = write(f"""
        [[processors]]
        id = "stripe_us"
        adapter = "stripe"
        options = {{ api_key_file = "{secret}" }}

        [[processors]]
        id = "stripe_eu"
        adapter = "stripe"
        state = "draining"
        currencies = ["EUR", "SEK"]
        card_networks = ["visa"]
        countries = ["DE", "SE"]
        options = {{ api_key_env = "STRIPE_EU", base_url = "http://127.0.0.1:12111" }}
    """)
    found = opened(file, {"STRIPE_EU": "rk_test_eu"})
    assert list(found) == ["stripe_us", "stripe_eu"]
    profile: Profile = found["stripe_eu"].profile
    assert profile.state is ProcessorState.DRAINING
    assert profile.currencies == ("EUR", "SEK")
    assert profile.card_networks == (CardNetwork.VISA,)
    assert profile.countries == ("DE", "SE")


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc"])
def test_a_live_key_is_refused_unless_it_is_wanted(key: str) -> None:
    [problem, _] = refused(None, {"STRIPE_API_KEY": key})
    assert "STRIPE_ALLOW_LIVE_KEYS" in problem
    assert key not in problem
    wanted = opened(environment={"STRIPE_API_KEY": key}, stripe_allow_live_keys=True)
    assert wanted["stripe"].profile.live
    assert not wanted["simulated"].profile.live


def test_a_live_key_never_travels_in_the_clear() -> None:
    problems = refused(
        None,
        {"STRIPE_API_KEY": LIVE_KEY},
        stripe_allow_live_keys=True,
        stripe_api_base="http://stripe.example",
    )
    assert all("https" in problem for problem in problems)


@pytest.mark.parametrize("key", ["pk_test_abc", "whsec_abc", "hunter2"])
def test_what_is_no_secret_key_is_refused_without_showing_it(key: str) -> None:
    problems = refused(None, {"STRIPE_API_KEY": key})
    assert problems
    assert not [problem for problem in problems if key in problem]


_ALL_WRONG = """
[[processors]]
id = "Stripe!"
adapter = "stripe"

[[processors]]
id = "paypal"
adapter = "paypal"

[[processors]]
id = "none"
adapter = "stripe"

[[processors]]
id = "empty"
adapter = "stripe"
options = { api_key_env = "NOT_SET" }

[[processors]]
id = "gone"
adapter = "stripe"
options = { api_key_file = "/nowhere/at/all" }

[[processors]]
id = "odd"
adapter = "simulated"
currencies = ["EURO"]
countries = ["Germany"]
colour = "red"

[[processors]]
id = "fast"
adapter = "simulated"
options = { latency = 3 }

[[processors]]
id = "cards"
adapter = "apple_pay"
methods = ["card"]
options = { api_key_env = "KEY" }

[[processors]]
id = "where"
adapter = "stripe"
options = { api_key_env = "KEY", base_url = "stripe" }

[[processors]]
id = "twice"
adapter = "simulated"

[[processors]]
id = "twice"
adapter = "simulated"
"""
_EACH_WRONG = (
    "processor Stripe!: id",
    "processor paypal: there is no adapter 'paypal'",
    "processor none: say api_key_env or api_key_file",
    "processor empty: there is no key in NOT_SET",
    "processor gone: api_key_file cannot be read",
    "processor odd: currencies.0",
    "processor odd: countries.0",
    "processor odd: colour",
    "processor fast: latency",
    "processor cards: apple_pay does not take card",
    "processor where: base_url",
    "processor twice: two have this id",
)


def test_everything_that_is_wrong_is_said_at_once(write: Any) -> None:
    problems = "\n".join(refused(write(_ALL_WRONG), {"KEY": TEST_KEY}))
    for expected in _EACH_WRONG:
        assert expected in problems, problems


@pytest.mark.parametrize("text", ["", "processors = 3", "[[processors", "colour = 'red'", "\x00"])
def test_a_file_that_is_none_is_refused(write: Any, text: str) -> None:
    [problem] = refused(write(text))
    assert problem.startswith("PROCESSORS_FILE")
