"""A merchant's configuration as a file, which `config get` writes, and `put` and `plan` read."""

from typing import Any, Final, TextIO

from payments.config.v1.merchant_config_pb2 import MerchantSettings

from cli.settings_yaml import WrongFile, load, message_from_plain

_FIELDS: Final = frozenset({"merchant_id", "version", "comment", "settings"})


def read_document(file: TextIO) -> dict[str, Any]:
    try:
        text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongFile(f"{file.name} cannot be read: {error}") from error
    document = load(text, file.name)
    if not isinstance(document, dict):
        raise WrongFile(f"{file.name} wants merchant_id, version and settings")
    if unknown := sorted(str(name) for name in document if name not in _FIELDS):
        raise WrongFile(f"{file.name}: {', '.join(unknown)} is none of its fields")
    return document


def version_in(document: dict[str, Any]) -> int:
    version = document.get("version", 0)
    if type(version) is not int or not 0 <= version < 2**63:
        raise WrongFile("version: must be the number of a version")
    return version


def settings_in(document: dict[str, Any]) -> MerchantSettings:
    return message_from_plain(document.get("settings"), MerchantSettings())
