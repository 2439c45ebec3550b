"""Settings are judged as a whole; each case breaks one thing and must be told where."""

import random
import time

import pytest
from payments.config.v1.merchant_config_pb2 import MerchantSettings

from services.kernel.errors import InvalidArgument, Reason
from services.kernel.ids import MerchantId
from services.merchant_config.domain.settings import ProcessorFacts
from services.merchant_config.domain.validation import violations_of
from services.merchant_config.translate.reading import settings_from_message
from services.runtime.rpc import typed_errors
from tests.conftest import DatabaseUrls
from tests.merchant_config.conftest import ConfigsUnderTest
from tests.merchant_config.rules_cases import BROKEN_RULES, SOUND_RULES
from tests.merchant_config.settings import put, rules
from tests.merchant_config.settings_cases import BROKEN_SETTINGS, SOUND_SETTINGS


@pytest.fixture
def application_url(module_database_urls: DatabaseUrls) -> str:
    """One database for all the cases: none but the sound ones write to it, each for its own."""
    return module_database_urls.application


@pytest.mark.parametrize(("settings", "field", "rule"), [*BROKEN_SETTINGS, *BROKEN_RULES])
async def test_broken_settings_are_refused_with_the_path_of_the_field(
    configs: ConfigsUnderTest, settings: MerchantSettings, field: str, rule: str
) -> None:
    before = await configs.count_versions()
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.PutConfig(put(settings))
    assert refusal.value.reason is Reason.CONFIG_INVALID
    assert [(v.field, v.rule) for v in refusal.value.violations] == [(field, rule)]
    assert await configs.count_versions() == before


@pytest.mark.parametrize("settings", [*SOUND_SETTINGS, *SOUND_RULES])
async def test_sound_settings_are_stored(
    configs: ConfigsUnderTest, settings: MerchantSettings
) -> None:
    request = put(settings)
    request.merchant_id = MerchantId.new()
    stored = await configs.stub.PutConfig(request)
    assert stored.config.settings == settings


async def test_everything_that_is_wrong_is_told_at_once(configs: ConfigsUnderTest) -> None:
    settings = rules({"match": {"currencies": ["XYZ"]}}, {"targets": []})
    settings.default_currency = "nothing"
    settings.fees.fixed[0].currency = "???"
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await configs.stub.PutConfig(put(settings))
    assert {v.field for v in refusal.value.violations} == {
        "fees.fixed[0].currency",
        "default_currency",
        "routing_rules[0].match.currencies[0]",
        "routing_rules[1]",
    }


def test_rules_that_cut_one_another_to_pieces_are_judged_in_bounded_time() -> None:
    chance = random.Random(1)
    settings, _ = settings_from_message(
        rules(
            *(
                {
                    "match": {
                        "metadata": {
                            f"k{n}": chance.choice("ab") for n in chance.sample(range(50), 2)
                        }
                    }
                }
                for _ in range(100)
            )
        )
    )
    began_at = time.process_time()
    known = {name: ProcessorFacts() for name in ("stripe", "stripe_eu", "cards_only")}
    assert violations_of(settings, known) == []
    assert time.process_time() - began_at < 10
