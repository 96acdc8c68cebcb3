"""Settings come from MANTA_* alone, and a wrong one is answered with one sentence that names the variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from local.errors import MantaError
from local.settings import load

HOME = {"HOME": "/home/ada"}


def test_without_any_variable_the_defaults_hold() -> None:
    settings = load(HOME)
    assert settings.instance == "manta"
    assert settings.state_dir == Path("/var/lib/manta")
    assert settings.cache_dir == Path("/home/ada/.cache/manta")
    assert settings.ports.by_name() == {"api": 6443, "serve": 8000, "dashboard": 8265, "mlflow": 5000, "s3": 9000}


def test_every_setting_can_be_set() -> None:
    ports = {
        f"MANTA_PORT_{name}": str(7000 + i) for i, name in enumerate(("API", "SERVE", "DASHBOARD", "MLFLOW", "S3"))
    }
    settings = load(
        {"MANTA_INSTANCE": "two", "MANTA_STATE_DIR": "/srv/state", "MANTA_CACHE_DIR": "/srv/cache", **ports}
    )
    assert (settings.instance, settings.state_dir, settings.cache_dir) == (
        "two",
        Path("/srv/state"),
        Path("/srv/cache"),
    )
    assert list(settings.ports.by_name().values()) == [7000, 7001, 7002, 7003, 7004]


def test_two_instances_do_not_share_their_state() -> None:
    assert load({**HOME, "MANTA_INSTANCE": "b"}).state_dir != load(HOME).state_dir


def test_the_cache_follows_xdg_unless_that_is_relative() -> None:
    assert load({**HOME, "XDG_CACHE_HOME": "/big/cache"}).cache_dir == Path("/big/cache/manta")
    assert load({**HOME, "XDG_CACHE_HOME": "cache"}).cache_dir == Path("/home/ada/.cache/manta")


def test_an_empty_variable_is_an_unset_one() -> None:
    assert load({**HOME, "MANTA_PORT_API": "", "MANTA_STATE_DIR": "", "MANTA_INSTANCE": ""}) == load(HOME)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load(HOME).instance = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("MANTA_PORT_API", "http", "MANTA_PORT_API=http cannot be used: should be a valid integer"),
        ("MANTA_PORT_API", "70000", "MANTA_PORT_API=70000 cannot be used: should be less than or equal to 65535"),
        ("MANTA_PORT_API", "0", "MANTA_PORT_API=0 cannot be used: should be greater than or equal to 1"),
        ("MANTA_PORT_S3", "8000", "MANTA_PORT_SERVE and MANTA_PORT_S3 both say 8000"),
        ("MANTA_PORT_OPI", "1", "MANTA_PORT_OPI is not a setting: did you mean MANTA_PORT_API?"),
        ("MANTA_PORT_WEB", "1", "MANTA_PORT_WEB is not a setting"),
        ("MANTA_STATEDIR", "/x/y", "MANTA_STATEDIR is not a setting: did you mean MANTA_STATE_DIR?"),
        ("MANTA_STATE_DIR", "state", "MANTA_STATE_DIR=state cannot be used: must be an absolute path"),
        ("MANTA_STATE_DIR", "/my state/manta", "must be an absolute path of letters"),
        ("MANTA_STATE_DIR", "/srv/a\nb", "must be an absolute path of letters"),
        ("MANTA_CACHE_DIR", "/var", "MANTA_CACHE_DIR=/var cannot be used: must be a folder of its own"),
        ("MANTA_CACHE_DIR", "/srv/..", "must be an absolute path"),
        ("MANTA_INSTANCE", "Two", "MANTA_INSTANCE=Two cannot be used: must be 1 to 10 lower-case letters"),
        ("MANTA_INSTANCE", "averylongname", "must be 1 to 10 lower-case letters"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable(variable: str, value: str, says: str) -> None:
    with pytest.raises(MantaError) as caught:
        load({**HOME, variable: value})
    assert says in caught.value.sentence
    assert "\n" not in caught.value.sentence.replace(value, "")


def test_variables_that_belong_to_others_are_left_alone() -> None:
    assert load({**HOME, "MANTA_RUN": "x", "MANTA_CRDS": "/x", "MANTAS_PORT_X": "1"}) == load(HOME)
