"""What `pulumi` needs on this machine lies in the state folder, readable by its owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local.engine import environment, stacks
from local.errors import MantaError
from local.settings import LocalSettings
from local.toolchain.build import Toolchain


def _settings(folder: Path) -> LocalSettings:
    return LocalSettings(state_dir=folder / "state", cache_dir=folder / "cache")


def _own(settings: LocalSettings) -> Toolchain:
    return Toolchain(settings.cache_dir / "toolchain/cluster/bin", settings.cache_dir / "toolchain/pulumi/bin/pulumi")


def test_our_own_engine_finds_our_plugins_and_its_state(tmp_path: Path) -> None:
    settings = _settings(tmp_path)

    env = environment.engine_environment(settings, _own(settings), base={"PATH": "/usr/bin"})

    assert env["PULUMI_BACKEND_URL"] == f"file://{settings.state_dir}/pulumi/backend"
    assert (settings.state_dir / "pulumi" / "backend").is_dir(), "the engine refuses a folder that does not exist"
    assert env["KUBECONFIG"] == str(settings.kubeconfig)
    folders = env["PATH"].split(":")
    assert folders[0] == str(settings.cache_dir / "toolchain/pulumi/bin")
    assert (Path(folders[1]) / "pulumi-resource-kubernetes").exists()
    assert folders[-1] == "/usr/bin"


def test_an_official_engine_keeps_its_own_home_and_plugins(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    toolchain = Toolchain(settings.cache_dir / "bin", Path("/opt/pulumi/pulumi"))

    env = environment.engine_environment(settings, toolchain, base={"PATH": "/opt/pulumi:/usr/bin"})

    assert "PULUMI_HOME" not in env
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in env
    assert str(environment.PLUGINS) not in env["PATH"], "plugins on PATH go before installed ones"


def test_calling_it_twice_gives_the_same(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    first = environment.engine_environment(settings, _own(settings), base={"PATH": "/usr/bin"})

    assert environment.engine_environment(settings, _own(settings), base=first) == first


def test_a_passphrase_of_the_users_own_does_not_lock_the_stacks(tmp_path: Path) -> None:
    settings = _settings(tmp_path)

    env = environment.engine_environment(
        settings, _own(settings), base={"PULUMI_CONFIG_PASSPHRASE": "x", "PULUMI_OPTION_CONFIG_FILE": "/y"}
    )

    assert "PULUMI_CONFIG_PASSPHRASE" not in env, "it would go before the file"
    assert "PULUMI_OPTION_CONFIG_FILE" not in env


def test_the_passphrase_is_random_private_and_kept(tmp_path: Path) -> None:
    first = environment.ensure_passphrase(tmp_path)
    content = first.read_text()
    first.chmod(0o644)

    again = environment.ensure_passphrase(tmp_path)
    other = tmp_path / "other"
    other.mkdir()

    assert again.read_text() == content
    assert len(content) >= 43
    assert stat.S_IMODE(again.stat().st_mode) == 0o600
    assert environment.ensure_passphrase(other).read_text() != content
    assert [path.name for path in other.iterdir()] == ["passphrase"]


def test_a_lost_passphrase_is_reported_before_anything_is_encrypted_anew(tmp_path: Path) -> None:
    state = tmp_path / "backend/.pulumi/stacks/manta/platform-local.json"
    state.parent.mkdir(parents=True)
    state.touch()

    with pytest.raises(MantaError, match="restore it, or start anew"):
        environment.ensure_passphrase(tmp_path)


def test_only_what_differs_is_exported() -> None:
    assert environment.exports({"A": "1", "B": "2"}, {"A": "1", "C": "3"}) == {"B": "2"}


def _project(folder: Path, config: str) -> Path:
    project = folder / "project"
    (project / "stacks").mkdir(parents=True)
    (project / "Pulumi.yaml").write_text("name: manta\nruntime: python\nstackConfigDir: stacks\n")
    (project / "stacks" / "Pulumi.dev.yaml").write_text(config)
    return project


def _existing_stack(folder: Path) -> dict[str, str]:
    state = folder / "pulumi/backend/.pulumi/stacks/manta/dev.json"
    state.parent.mkdir(parents=True)
    state.touch()
    return {"PULUMI_BACKEND_URL": f"file://{folder}/pulumi/backend"}


def test_the_engine_gets_a_private_copy_without_another_machines_encryption(tmp_path: Path) -> None:
    text = "encryptionsalt: v1:theirs\nconfig:\n  manta:run: a\n"
    project, env = _project(tmp_path, text), _existing_stack(tmp_path)

    ours = stacks.ensure_stack(Path("/nowhere/pulumi"), env, project, "dev")

    copy = Path(ours[stacks.CONFIG_FILE_VARIABLE])
    assert copy.is_relative_to(tmp_path / "pulumi")
    assert "encryptionsalt" not in copy.read_text()
    assert "manta:run: a" in copy.read_text()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (project / "stacks" / "Pulumi.dev.yaml").read_text() == text


@pytest.mark.parametrize(("text", "words"), [("a: [", "not valid YAML"), ("- 1", "no stack configuration")])
def test_a_broken_stack_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    project, env = _project(tmp_path, text), _existing_stack(tmp_path)

    with pytest.raises(MantaError, match=rf"Pulumi\.dev\.yaml is {words}"):
        stacks.ensure_stack(Path("/nowhere/pulumi"), env, project, "dev")


def test_a_missing_stack_file_is_named(tmp_path: Path) -> None:
    project, env = _project(tmp_path, "{}"), _existing_stack(tmp_path)

    with pytest.raises(MantaError, match=r"stack prod has no configuration: .*Pulumi\.prod\.yaml"):
        stacks.ensure_stack(Path("/nowhere/pulumi"), env, project, "prod")
    assert stacks.stack_names(env, project) == ["dev"]
