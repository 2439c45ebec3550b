"""What an operator can set, by environment variables, checked as a whole before anything starts.

A field `grpc_port` is set by GRPC_PORT; an empty variable counts as not set. Whatever is wrong is
said at once, one line a variable, and no line shows a secret.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    HttpUrl,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.database_reach import URL_EXAMPLE, login_of
from services.runtime.startup import StartupError

_PREFIX: Final = "SWITCHYARD_"
_TOKEN_CHARACTERS_MIN: Final = 32
# Our own complaints are sentences; pydantic's are about types, and `wants` says it better.
_OUR_COMPLAINT: Final = "setting"


class SettingsError(StartupError):
    """A setting is wrong or missing; each line names one and says what to do."""

    exit_code: ClassVar[int] = 2


def _complaint(text: str) -> PydanticCustomError:
    return PydanticCustomError(_OUR_COMPLAINT, "{text}", {"text": text})


def _checked_url(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        is_postgres = parts.scheme in ("postgresql", "postgres") and parts.port != 0
    except ValueError:
        is_postgres = False
    if not is_postgres:
        raise _complaint("is no PostgreSQL URL")
    if not login_of(url.get_secret_value()):
        raise _complaint("names no login")
    if parts.path in ("", "/"):
        raise _complaint("names no database")
    return url


def _checked_token(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < _TOKEN_CHARACTERS_MIN:
        raise _complaint("is too short to be safe")
    return token


def _lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _checked_addresses(text: str) -> str:
    for item in filter(None, text.split(",")):
        name, equals, address = item.partition("=")
        host, colon, port = address.rpartition(":")
        if not (name.strip() and equals and host and colon and port.isdecimal()):
            raise _complaint(f"has {item!r}, which is no name=host:port")
    return text


DatabaseUrl = Annotated[SecretStr, AfterValidator(_checked_url)]
Port = Annotated[int, Field(ge=0, le=65535)]
Token = Annotated[SecretStr, AfterValidator(_checked_token)]
TracesSampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower_case)]


class Settings(BaseSettings):
    """Everything that can be set; each description completes "it wants …"."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    switchyard_home: Path = Field(
        default=Path(".switchyard"), description="a folder for what Switchyard keeps"
    )
    database_url: DatabaseUrl | None = Field(default=None, description=URL_EXAMPLE)
    database_owner_url: DatabaseUrl | None = Field(default=None, description=URL_EXAMPLE)
    log_level: LogLevel = Field(default="info", description="debug, info, warning or error")
    grpc_host: str = Field(default="127.0.0.1", description="an address of this machine")
    grpc_port: Port = Field(
        default=50051, description="a port number up to 65535, or 0 for any free one"
    )
    grpc_token: Token | None = Field(
        default=None, description=f"a random text of {_TOKEN_CHARACTERS_MIN} characters or more"
    )
    grpc_tls_certificate: FilePath | None = Field(
        default=None, description="a PEM file with the server's certificate chain"
    )
    grpc_tls_key: FilePath | None = Field(
        default=None, description="a PEM file with the certificate's private key"
    )
    grpc_tls_roots: FilePath | None = Field(
        None, description="a PEM file with the certificates by which other servers are known"
    )
    service_addresses: Annotated[str, AfterValidator(_checked_addresses)] = Field(
        "", description="services of other processes, as ledger=host:port,router=host:port"
    )
    access_key_pepper: Token | None = Field(
        default=None, description=f"a random text of {_TOKEN_CHARACTERS_MIN} characters or more"
    )
    http_host: str = Field(default="127.0.0.1", description="an address of this machine")
    http_port: Port | None = Field(
        default=None, description="a port number up to 65535, or 0 for any free one"
    )
    http_idle_seconds: int = Field(
        default=75, ge=1, le=3600, description="a number of seconds from 1 to 3600"
    )
    metrics_port: Port | None = Field(
        default=None, description="a port number up to 65535, or 0 for any free one"
    )
    kafka_bootstrap_servers: str | None = Field(
        default=None, description="the brokers' addresses, such as kafka-1:9092,kafka-2:9092"
    )
    kafka_client_file: FilePath | None = Field(
        default=None, description="a file of librdkafka settings, one name=value a line"
    )
    kafka_create_topics: bool = Field(
        default=True, description="true, to make topics that are missing, or false"
    )
    kafka_replication_factor: int = Field(
        default=1, ge=1, description="the number of brokers that keep a topic"
    )
    consumer_tries: int = Field(
        default=5, ge=1, le=20, description="a number of tries, from 1 to 20"
    )
    consumer_first_pause_seconds: float = Field(
        default=1, gt=0, le=60, description="the pause after a first failure, up to 60 seconds"
    )
    lease_seconds: float = Field(
        default=15,
        ge=1,
        le=300,
        description="1 to 300 seconds, for which payments stay with a process that died",
    )
    otel_sdk_disabled: bool = Field(
        default=False, description="true, to record no traces at all, or false"
    )
    otel_service_name: str | None = Field(
        default=None, description="a name for this process in traces"
    )
    otel_traces_exporter: Annotated[
        Literal["otlp", "console", "none"] | None, BeforeValidator(_lower_case)
    ] = Field(default=None, description="otlp, console or none")
    otel_traces_sampler: Annotated[TracesSampler, BeforeValidator(_lower_case)] = Field(
        default="parentbased_traceidratio",
        description="always_on, always_off or traceidratio, or one of these after parentbased_",
    )
    otel_traces_sampler_arg: float = Field(
        default=0.01, ge=0, le=1, description="the share of traces to keep, from 0 to 1"
    )
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        default=None, description="the address of a collector that takes OTLP over HTTP"
    )
    otel_exporter_otlp_traces_endpoint: HttpUrl | None = Field(
        default=None, description="the address that takes traces by OTLP over HTTP"
    )
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = Field(
        default="http/protobuf", description="http/protobuf, the only protocol spoken"
    )
    api_base_url: HttpUrl | None = Field(
        default=None, description="the address at which customers' browsers reach the gateway"
    )
    processors_file: FilePath | None = Field(
        default=None, description="a TOML file with a [[processors]] table for each processor"
    )
    processor_timeout_seconds: float = Field(
        default=30, gt=0, le=300, description="the seconds a processor may take, up to 300"
    )
    stripe_api_base: HttpUrl = Field(
        default=HttpUrl("https://api.stripe.com"),
        description="the address of Stripe, or of a sandbox",
    )
    stripe_allow_live_keys: bool = Field(
        default=False, description="true, for keys that move real money, or false"
    )

    webhook_comparison_seconds: float = Field(
        default=60, gt=0, le=3600, description="the seconds between two comparisons, up to 3600"
    )
    webhook_grace_seconds: float = Field(
        default=60, ge=0, le=86_400, description="the seconds to wait for a delivery, up to 86400"
    )

    @property
    def is_embedded(self) -> bool:
        """Whether Switchyard brings its own PostgreSQL along."""
        return self.database_url is None

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where the services are that other processes serve, by name."""
        pairs = (item.split("=", 1) for item in self.service_addresses.split(",") if item)
        return {name.strip(): address.strip() for name, address in pairs}

    @model_validator(mode="after")
    def _pairs_are_complete(self) -> Self:
        if self.database_owner_url is not None and self.database_url is None:
            raise _complaint(
                "DATABASE_OWNER_URL is set and DATABASE_URL is not: set the application's login too"
            )
        if (self.grpc_tls_certificate is None) != (self.grpc_tls_key is None):
            raise _complaint(
                "GRPC_TLS_CERTIFICATE and GRPC_TLS_KEY belong together: set both or neither"
            )
        return self


def load_settings(**given: Any) -> Settings:
    """The environment's settings; what is given (by the command line) and not None goes first."""
    problems = _misspelt()
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings(**chosen)
    except ValidationError as error:
        problems += [_line(problem) for problem in error.errors(include_context=False)]
    if problems:
        # The cause would show in a traceback what the lines leave out.
        raise SettingsError("\n".join(dict.fromkeys(problems))) from None
    return settings


def _misspelt() -> list[str]:
    """Variables under our prefix that look like one of ours.

    Others are let be: Kubernetes makes SWITCHYARD_PORT and the like for a service of that name.
    """
    ours = [name.upper() for name in Settings.model_fields]
    endings = [name.removeprefix(_PREFIX) for name in ours]
    problems = []
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in ours:
            for close in difflib.get_close_matches(name.removeprefix(_PREFIX), endings, 1, 0.7):
                meant = ours[endings.index(close)]
                problems.append(f"{name} is no setting: did you mean {meant}?")
    return problems


def _line(problem: ErrorDetails) -> str:
    if not problem["loc"]:
        return problem["msg"]
    field = str(problem["loc"][0])
    what = problem["msg"] if problem["type"] == _OUR_COMPLAINT else "is wrong"
    return f"{field.upper()} {what}: it wants {Settings.model_fields[field].description}"
