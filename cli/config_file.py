"""A merchant's configuration as a file, which `config get` writes, and `put` and `plan` read."""

from typing import Any, Final, TextIO

import click
from payments.config.v1.merchant_config_pb2 import MerchantSettings

from cli.settings_yaml import load, message_from_plain

_FIELDS: Final = frozenset({"merchant_id", "version", "comment", "settings"})


def read_document(file: TextIO) -> dict[str, Any]:
    document = load(file.read(), file.name)
    if not isinstance(document, dict):
        raise click.ClickException(f"{file.name} wants merchant_id, version and settings")
    if unknown := sorted(str(name) for name in document if name not in _FIELDS):
        raise click.ClickException(f"{file.name}: {', '.join(unknown)} is none of its fields")
    return document


def version_in(document: dict[str, Any]) -> int:
    version = document.get("version", 0)
    if not isinstance(version, int) or not 0 <= version < 2**63:
        raise click.ClickException("version: must be the number of a version")
    return version


def settings_in(document: dict[str, Any]) -> MerchantSettings:
    return message_from_plain(document.get("settings"), MerchantSettings())
