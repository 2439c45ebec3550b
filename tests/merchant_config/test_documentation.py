"""The configuration that the documentation shows can be put as it stands."""

import re
from pathlib import Path

import yaml
from payments.config.v1.merchant_config_pb2 import MerchantSettings

from cli.settings_yaml import message_from_plain, plain_from_message
from tests.merchant_config.conftest import ConfigsUnderTest
from tests.merchant_config.settings import put

_PAGE = Path(__file__).parents[2] / "docs" / "routing.md"


async def test_the_documented_configuration_is_sound(configs: ConfigsUnderTest) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    settings = yaml.safe_load(text)["settings"]
    message = message_from_plain(settings, MerchantSettings())
    made = await configs.stub.PutConfig(put(message))
    assert made.config.settings == message
    assert plain_from_message(message)["routing_rules"] == settings["routing_rules"]
