"""Accounts and their secrets: which one signed, and how one is exchanged without a gap."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.kernel.clock import ManualClock
from services.kernel.errors import Unauthenticated
from services.processor.adapters.kind import Surroundings
from services.processor.adapters.stripe.account import StripeOptions, open_account
from services.runtime.rpc import typed_errors
from services.runtime.settings import SettingsError, load_settings
from services.webhooks.configuration import Keyring, open_keyring
from tests.webhooks.conftest import Manner, running_house
from tests.webhooks.letters import OTHER_SECRET, SECRET, letter
from tests.webhooks.stand_in_orchestrator import StandInOrchestrator

_CLOCK = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


def keyring(text: str, folder: Path, environment: Mapping[str, str] | None = None) -> Keyring:
    file = folder / "processors.toml"
    file.write_text(text)
    return open_keyring(load_settings(processors_file=file), _CLOCK, environment or {})


def table(name: str, options: str) -> str:
    return f'[[processors]]\nid = "{name}"\nadapter = "stripe"\noptions = {{ {options} }}\n'


def test_the_environment_implies_one_account_that_two_processors_share() -> None:
    ring = open_keyring(
        load_settings(), _CLOCK, {"STRIPE_WEBHOOK_SECRET": f"{SECRET}, {OTHER_SECRET}"}
    )
    (account,) = ring.accounts("stripe")
    assert account.processor_ids == ("stripe", "apple_pay")
    assert account.secrets == (SECRET.encode(), OTHER_SECRET.encode())
    assert ring.sharers("apple_pay") == ("apple_pay", "stripe")


def test_without_a_secret_there_is_no_account() -> None:
    ring = open_keyring(load_settings(), _CLOCK, {})
    assert ring.accounts("stripe") == []
    assert ring.names() == ()


def test_each_account_has_its_own_secrets(tmp_path: Path) -> None:
    file = tmp_path / "eu"
    file.write_text(f"{OTHER_SECRET}\nwhsec_before_that\n")
    text = (
        table("stripe_us", 'webhook_secret_env = "US"')
        + table("stripe_eu", f'webhook_secret_file = "{file}"')
        + table("wallet_eu", f'webhook_secret_file = "{file}"')
        + '[[processors]]\nid = "simulated"\nadapter = "simulated"\n'
    )
    ring = keyring(text, tmp_path, {"US": SECRET})
    us, eu = ring.accounts("stripe")
    assert us.secrets == (SECRET.encode(),)
    assert eu.processor_ids == ("stripe_eu", "wallet_eu")
    assert eu.secrets == (OTHER_SECRET.encode(), b"whsec_before_that")
    assert ring.sharers("simulated") == ("simulated",)


def test_each_list_of_events_is_read_once_whoever_shares_a_secret(tmp_path: Path) -> None:
    signed = 'webhook_secret_env = "SECRET", api_key_env'
    text = (
        table("stripe_us", f'{signed} = "US"')
        + table("stripe_eu", f'{signed} = "EU"')
        + table("wallet_eu", f'{signed} = "EU"')
        + table("stripe_eu_elsewhere", f'{signed} = "EU", base_url = "http://127.0.0.1:1"')
    )
    ring = keyring(text, tmp_path, {"SECRET": SECRET})
    assert len(ring.accounts("stripe")) == 1
    assert ring.names() == ("stripe_us", "stripe_eu", "stripe_eu_elsewhere")


def test_one_key_is_one_account_with_as_many_secrets_as_it_signs_with(tmp_path: Path) -> None:
    text = table("card", 'webhook_secret_env = "A", api_key_file = "key"') + table(
        "wallet", 'webhook_secret_env = "B", api_key_file = "key"'
    )
    ring = keyring(text, tmp_path, {"A": SECRET, "B": OTHER_SECRET})
    (account,) = ring.accounts("stripe")
    assert account.secrets == (SECRET.encode(), OTHER_SECRET.encode())
    assert ring.sharers("wallet") == ("wallet", "card")
    assert ring.names() == ("card",)


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    ring = keyring(table("a", 'webhook_secret_env = "A"'), tmp_path, {"A": SECRET})
    assert SECRET not in repr(ring.accounts("stripe"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ('webhook_secret_env = "A", webhook_secret_file = "b"', "and not both"),
        ('webhook_secret_env = "NONE"', "NONE wants secrets of 8"),
        ('webhook_secret_env = "SHORT"', "SHORT wants secrets of 8"),
        ('webhook_secret_file = "/nowhere/at/all"', "cannot be read"),
        ("webhook_secret_env = 7", "webhook_secret_env"),
    ],
)
def test_what_is_wrong_with_a_secret_is_said_without_it(
    tmp_path: Path, options: str, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem) as refused:
        keyring(table("a", options), tmp_path, {"A": SECRET, "SHORT": "s3cret"})
    assert "s3cret" not in str(refused.value)


def test_the_processors_own_options_know_these(tmp_path: Path) -> None:
    options = StripeOptions.model_validate(
        {"api_key_env": "K", "webhook_secret_file": str(tmp_path / "secret")}
    )
    surroundings = Surroundings(clock=_CLOCK, environment={"K": "sk_test_1"})
    assert not open_account(options, surroundings).live


def test_a_file_is_read_again_and_one_that_is_broken_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    ring = keyring(table("a", f'webhook_secret_file = "{file}"'), tmp_path)

    def secrets() -> tuple[bytes, ...]:
        _CLOCK.advance(timedelta(seconds=2))
        (account,) = ring.accounts("stripe")
        return account.secrets

    file.write_text(f"{OTHER_SECRET}\n{SECRET}")
    assert secrets() == (OTHER_SECRET.encode(), SECRET.encode())
    file.write_text("")
    assert secrets() == (OTHER_SECRET.encode(), SECRET.encode())
    file.unlink()
    assert secrets() == (OTHER_SECRET.encode(), SECRET.encode())
    file.write_text(OTHER_SECRET)
    assert secrets() == (OTHER_SECRET.encode(),)


async def test_a_secret_is_exchanged_without_a_gap(
    application_url: str, orchestrator: StandInOrchestrator, tmp_path: Path
) -> None:
    secret, file = tmp_path / "secret", tmp_path / "processors.toml"
    secret.write_text(SECRET)
    file.write_text(table("stripe", f'webhook_secret_file = "{secret}"'))
    clock = ManualClock(datetime.now(UTC))
    manner = Manner(processors_file=file, applies=False)
    async with running_house(application_url, orchestrator, manner=manner, clock=clock) as house:
        await house.receive(letter())
        secret.write_text(f"{OTHER_SECRET},{SECRET}")
        clock.advance(timedelta(seconds=2))
        # The sender goes over to the new one some time in between.
        await house.receive(letter())
        await house.receive(letter(secret=OTHER_SECRET))
        secret.write_text(OTHER_SECRET)
        clock.advance(timedelta(seconds=2))
        await house.receive(letter(secret=OTHER_SECRET))
        with pytest.raises(Unauthenticated), typed_errors():
            await house.receive(letter())
        assert await house.states() == {"pending": 4}


async def test_the_secret_that_signed_names_the_account(
    application_url: str, orchestrator: StandInOrchestrator, tmp_path: Path
) -> None:
    file = tmp_path / "processors.toml"
    for name, secret in (("us", SECRET), ("eu", OTHER_SECRET)):
        (tmp_path / name).write_text(secret)
    file.write_text(
        table("stripe_us", f'webhook_secret_file = "{tmp_path / "us"}"')
        + table("stripe_eu", f'webhook_secret_file = "{tmp_path / "eu"}"')
    )
    manner = Manner(processors_file=file, applies=False)
    async with running_house(application_url, orchestrator, manner=manner) as house:
        answer = await house.receive(letter(secret=OTHER_SECRET))
        assert (await house.event(answer.webhook_event_id)).processor_id == "stripe_eu"
        assert list(orchestrator.requests) == []
