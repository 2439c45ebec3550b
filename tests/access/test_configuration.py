"""The pepper: made once a home, for its owner's eyes, and the right one or no start."""

import stat
import threading
from pathlib import Path

import pytest
from payments.access.v1.access_service_pb2_grpc import AccessServiceStub
from pydantic import SecretStr

from services.access.configuration import open_pepper
from services.access.domain.secret import Pepper
from services.runtime.settings import Settings, SettingsError
from services.runtime.startup import StartupError
from services.system import open_system
from tests.access.requests import new_key, new_merchant, who

_PEPPER = "a pepper that two homes share, of enough characters"


def _settings(home: Path, pepper: str | None = None, database_url: str | None = None) -> Settings:
    return Settings(
        switchyard_home=home,
        access_key_pepper=None if pepper is None else SecretStr(pepper),
        database_url=None if database_url is None else SecretStr(database_url),
    )


def test_a_home_makes_its_pepper_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    pepper = open_pepper(_settings(home))
    assert len(pepper.value) == 32
    assert open_pepper(_settings(home)) == pepper
    assert stat.S_IMODE((home / "access-key-pepper").stat().st_mode) == 0o600
    assert open_pepper(_settings(tmp_path / "other")) != pepper
    assert [path.name for path in home.iterdir()] == ["access-key-pepper"]


def test_a_setting_goes_before_the_home(tmp_path: Path) -> None:
    assert open_pepper(_settings(tmp_path, _PEPPER)) == Pepper(_PEPPER.encode())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "abcd", "no hex at all"])
def test_a_pepper_that_was_spoilt_is_not_replaced(tmp_path: Path, content: str) -> None:
    file = tmp_path / "access-key-pepper"
    file.write_text(content)
    with pytest.raises(SettingsError, match="restore it"):
        open_pepper(_settings(tmp_path))
    assert file.read_text() == content


def test_many_that_start_at_once_agree(tmp_path: Path) -> None:
    peppers: list[Pepper] = []
    starts = threading.Barrier(8)

    def start() -> None:
        starts.wait()
        peppers.append(open_pepper(_settings(tmp_path)))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(peppers) == 8
    assert len({pepper.value for pepper in peppers}) == 1


async def test_a_key_outlives_its_process_where_the_pepper_is_kept(
    tmp_path: Path, application_url: str
) -> None:
    settings = _settings(tmp_path, database_url=application_url)
    async with open_system(settings, ["access"]) as system:
        stub = AccessServiceStub(system.channel)
        made = await new_key(stub, await new_merchant(stub))
    async with open_system(settings, ["access"]) as system:
        principal = await who(AccessServiceStub(system.channel), made.secret_value)
    assert principal.api_key_id == made.api_key.id


async def test_another_pepper_than_the_keys_is_no_start(
    tmp_path: Path, application_url: str
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    async with open_system(_settings(one, database_url=application_url), ["access"]) as system:
        pass
    # Without a key there is nothing that a new pepper could spoil.
    async with open_system(_settings(other, database_url=application_url), ["access"]) as system:
        await new_key(AccessServiceStub(system.channel), "")
    with pytest.raises(StartupError, match="ACCESS_KEY_PEPPER"):
        async with open_system(_settings(one, database_url=application_url), ["access"]):
            pass


async def test_of_two_peppers_at_once_the_first_to_make_a_key_stays(
    tmp_path: Path, application_url: str
) -> None:
    one, other = (_settings(tmp_path / name, None, application_url) for name in ("one", "other"))
    async with open_system(one, ["access"]) as first, open_system(other, ["access"]) as second:
        made = await new_key(AccessServiceStub(first.channel), "")
        with pytest.raises(Exception, match="internal error"):
            await new_key(AccessServiceStub(second.channel), "")
        assert (await who(AccessServiceStub(first.channel), made.secret_value)).api_key_id
