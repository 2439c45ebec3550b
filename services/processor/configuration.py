"""Which processors there are: read from PROCESSORS_FILE, or the ones that the environment implies.

A file is TOML, one table a processor:

    [[processors]]
    id = "stripe_eu"
    adapter = "stripe"
    countries = ["DE", "FR"]
    options = { api_key_env = "STRIPE_API_KEY_EU" }

Without a file there is `simulated`, and with STRIPE_API_KEY also `stripe` and `apple_pay`. All that
is wrong is said at once, a line each, and no line shows a key.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from services.kernel.clock import Clock
from services.kernel.context import CardNetwork, PaymentMethod
from services.kernel.errors import InvalidArgument
from services.kernel.money import Currency
from services.processor.adapters import ADAPTERS
from services.processor.adapters.kind import AdapterKind, OptionsError, Surroundings
from services.processor.domain.profile import ProcessorState, Profile
from services.processor.service.adapter import Processor
from services.runtime.settings import Settings, SettingsError

_STRIPE_KEY: Final = "STRIPE_API_KEY"
_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def _checked_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("is lower-case letters, digits and _, and begins with a letter")
    return text


def _checked_currency(code: str) -> str:
    try:
        return Currency(code).code
    except InvalidArgument as refused:
        raise ValueError(refused.message) from refused


def _checked_country(code: str) -> str:
    if not _COUNTRY.fullmatch(code):
        raise ValueError("is two capital letters")
    return code


class _Entry(BaseModel):
    """One processor as the file tells of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: Annotated[str, AfterValidator(_checked_id)]
    adapter: str
    state: ProcessorState = ProcessorState.ENABLED
    methods: tuple[PaymentMethod, ...] | None = None
    currencies: tuple[Annotated[str, AfterValidator(_checked_currency)], ...] = ()
    card_networks: tuple[CardNetwork, ...] = ()
    countries: tuple[Annotated[str, AfterValidator(_checked_country)], ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)


def open_processors(
    settings: Settings, clock: Clock, environment: Mapping[str, str] = os.environ
) -> tuple[Processor, ...]:
    """Every processor that is configured, ready to be used; raises SettingsError."""
    surroundings = Surroundings(
        clock=clock,
        environment=environment,
        allow_live_keys=settings.stripe_allow_live_keys,
        return_url=str(settings.api_base_url) if settings.api_base_url else None,
    )
    tables = (
        _implied(settings, environment)
        if settings.processors_file is None
        else _tables(settings.processors_file)
    )
    processors: list[Processor] = []
    problems: list[str] = []
    for number, table in enumerate(tables, start=1):
        try:
            processors.append(_open(table, surroundings))
        except ValidationError as error:
            name = _name(table, number)
            problems += (
                f"{name}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors(include_context=False, include_input=False)
            )
        except OptionsError as error:
            problems.append(f"{_name(table, number)}: {error}")
    problems += _duplicates(processors)
    if problems:
        raise SettingsError("\n".join(problems))
    return tuple(processors)


def _implied(settings: Settings, environment: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    tables: list[dict[str, Any]] = [{"id": "simulated", "adapter": "simulated"}]
    if environment.get(_STRIPE_KEY):
        options = {"api_key_env": _STRIPE_KEY, "base_url": str(settings.stripe_api_base)}
        tables += (
            {"id": name, "adapter": name, "options": options} for name in ("stripe", "apple_pay")
        )
    return tables


def _tables(file: Path) -> Sequence[dict[str, Any]]:
    try:
        told = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"PROCESSORS_FILE {file} cannot be read: {error}") from None
    tables = told.pop("processors", None)
    if told or not isinstance(tables, list) or not tables:
        raise SettingsError(f"PROCESSORS_FILE {file} wants [[processors]] tables and nothing else")
    return tables


def _open(table: dict[str, Any], surroundings: Surroundings) -> Processor:
    entry = _Entry.model_validate(table)
    kind = ADAPTERS.get(entry.adapter)
    if kind is None:
        known = ", ".join(ADAPTERS)
        raise OptionsError(f"there is no adapter {entry.adapter!r}; there are {known}")
    made = kind.make(kind.options.model_validate(entry.options), surroundings)
    return Processor(_profile(entry, kind, made.live), made.adapter)


def _profile(entry: _Entry, kind: AdapterKind, live: bool) -> Profile:
    methods = kind.methods if entry.methods is None else entry.methods
    if foreign := set(methods) - set(kind.methods):
        raise OptionsError(f"{entry.adapter} does not take {', '.join(sorted(foreign))}")
    return Profile(
        id=entry.id,
        adapter=entry.adapter,
        live=live,
        methods=methods,
        key_window=kind.key_window,
        state=entry.state,
        currencies=entry.currencies,
        card_networks=entry.card_networks,
        countries=entry.countries,
    )


def _duplicates(processors: Sequence[Processor]) -> list[str]:
    ids = [processor.profile.id for processor in processors]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    return [f"processor {each}: two have this id" for each in twice]


def _name(table: dict[str, Any], number: int) -> str:
    named = table.get("id") if isinstance(table, dict) else None
    return f"processor {named}" if isinstance(named, str) else f"processor number {number}"
