"""Settings are checked as a whole, say what is wrong in one line each, and keep secrets."""

import os
from pathlib import Path

import pytest

from services.runtime.settings import Settings, SettingsError, load_settings

_SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"  # noqa: S105 -- what must never be shown


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower() in Settings.model_fields or name.startswith("SWITCHYARD_"):
            monkeypatch.delenv(name)


def _refusal() -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    return str(refusal.value).splitlines()


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings()
    assert settings.is_embedded
    assert settings.switchyard_home == Path(".switchyard")
    assert (settings.grpc_host, settings.grpc_port) == ("127.0.0.1", 50051)


def test_the_environment_sets_and_the_command_line_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWITCHYARD_HOME", "/srv/a")
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    assert load_settings().log_level == "warning"
    assert load_settings().switchyard_home == Path("/srv/a")
    assert load_settings(switchyard_home=None).switchyard_home == Path("/srv/a")
    assert load_settings(switchyard_home=Path("/srv/b")).switchyard_home == Path("/srv/b")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("GRPC_PORT", "")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("GRPC_PORT", "abc", "GRPC_PORT is wrong: it wants a port number"),
        ("GRPC_PORT", "65536", "GRPC_PORT is wrong: it wants a port number"),
        ("METRICS_PORT", "-1", "METRICS_PORT is wrong: it wants a port number"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is wrong: it wants debug, info, warning or error"),
        ("GRPC_TLS_KEY", "/no/such/file", "GRPC_TLS_KEY is wrong: it wants a PEM file"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "OTEL_TRACES_SAMPLER_ARG is wrong: it wants the share"),
        ("LEASE_SECONDS", "0", "LEASE_SECONDS is wrong: it wants 1 to 300 seconds"),
        ("GRPC_TOKEN", "short", "GRPC_TOKEN is too short to be safe: it wants a random text"),
        ("DATABASE_URL", f"mysql://a:{_SECRET}@h/d", "DATABASE_URL is no PostgreSQL URL: it wants"),
        ("DATABASE_URL", f"postgresql://a:{_SECRET}@h:x/d", "DATABASE_URL is no PostgreSQL URL"),
        ("DATABASE_URL", _SECRET, "DATABASE_URL is no PostgreSQL URL: it wants postgresql://"),
        ("DATABASE_URL", "postgresql://h/d", "DATABASE_URL names no login: it wants"),
        ("DATABASE_URL", f"postgresql://a:{_SECRET}@h", "DATABASE_URL names no database: it wants"),
        (
            "DATABASE_OWNER_URL",
            f"postgresql://o:{_SECRET}@h/d",
            "DATABASE_OWNER_URL is set and DATABASE_URL is not: set the application's login too",
        ),
        ("SWITCHYARD_HOEM", "/srv", "SWITCHYARD_HOEM is no setting: did you mean SWITCHYARD_HOME?"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(name, value)
    (only,) = _refusal()
    assert only.startswith(line)
    assert _SECRET not in only


def test_everything_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_PORT", "abc")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("SWITCHYARD_HOM", "/srv")
    assert [line.split(" ")[0] for line in _refusal()] == [
        "SWITCHYARD_HOM",
        "LOG_LEVEL",
        "GRPC_PORT",
    ]


def test_a_certificate_without_its_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "certificate.pem").touch()
    monkeypatch.setenv("GRPC_TLS_CERTIFICATE", str(tmp_path / "certificate.pem"))
    (line,) = _refusal()
    assert "set both or neither" in line


def test_what_kubernetes_sets_for_a_service_of_our_name_is_let_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWITCHYARD_PORT", "tcp://10.0.0.1:443")
    monkeypatch.setenv("SWITCHYARD_SERVICE_HOST", "10.0.0.1")
    load_settings()


def test_a_secret_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:{_SECRET}@h/d")
    monkeypatch.setenv("DATABASE_OWNER_URL", f"postgresql://owner:{_SECRET}@h/d")
    monkeypatch.setenv("GRPC_TOKEN", _SECRET)
    settings = load_settings()
    assert settings.database_url
    assert _SECRET in settings.database_url.get_secret_value()
    for shown in (repr(settings), str(settings), settings.model_dump_json(), f"{settings}"):
        assert _SECRET not in shown


def test_a_refusal_carries_no_cause_that_would_print_the_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", _SECRET)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert refusal.value.__suppress_context__
    assert refusal.value.exit_code == 2
