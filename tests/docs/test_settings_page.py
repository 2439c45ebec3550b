"""docs/settings.md has every setting there is, and no other."""

import re

from services.runtime.settings import Settings
from tests.cli.everything import BESIDE_SETTINGS
from tests.docs.pages import PAGES, ROOT

_ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
_DEFAULT = re.compile(r"^\| `([A-Z_]+)` \|.*\| ([^|]*) \|$", re.MULTILINE)
_MENTION = re.compile(
    r"(?:^|[^A-Z_a-z$])((?:STRIPE|DATABASE|KAFKA|GRPC|HTTP|OTEL|WEBHOOK|CONSUMER|SWITCHYARD|ACCESS)"
    r"_[A-Z][A-Z_]*[A-Z])\b"
)
# Named by pages, and no settings of a running system.
_OTHERS = {
    "STRIPE_API_KEY_EU",  # a name that an example gives
    "STRIPE_TEST_API_KEY",  # of make test-stripe
    "SWITCHYARD_TEST_LONG",  # of tests
    "SWITCHYARD_CRASH_AT",
    "OTEL_EXPORTER_OTLP_HEADERS",  # OpenTelemetry's exporter reads these itself
    "OTEL_RESOURCE_ATTRIBUTES",
}


def test_the_page_and_the_settings_agree() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    rows = _ROW.findall(page)
    assert len(rows) == len(set(rows))
    assert set(rows) == {name.upper() for name in Settings.model_fields} | set(BESIDE_SETTINGS)


def test_every_number_that_is_a_default_is_the_one_the_page_shows() -> None:
    defaults = dict(_DEFAULT.findall((ROOT / "docs/settings.md").read_text()))
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert defaults[name.upper()] == f"{field.default:g}", name


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {name.upper() for name in Settings.model_fields} | set(BESIDE_SETTINGS) | _OTHERS
    unknown = {
        (page, name)
        for page in PAGES
        for name in _MENTION.findall((ROOT / page).read_text())
        if name not in known and "ACCOUNT_" not in name
    }
    assert not unknown
