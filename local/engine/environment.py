"""The environment in which `pulumi` works on this machine's stacks: `make up` uses it, `make env` prints it.

Everything that belongs to the stacks lies in the state folder, none of it in the checkout, so that a second clone on
the same machine carries on with the same stacks.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from local.errors import MantaError
from local.monitoring import switch
from local.settings import LocalSettings
from local.toolchain.build import Toolchain

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).resolve().parent / "bin"


def engine_dir(settings: LocalSettings) -> Path:
    return settings.state_dir / "pulumi"


def engine_environment(
    settings: LocalSettings,
    toolchain: Toolchain,
    *,
    kubeconfig: str | None = None,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """`base` (default: this process's environment) with all that the engine needs, its folders and passphrase made.

    `kubeconfig`: what KUBECONFIG shall say; None means our own cluster's. An official `pulumi` (one that is not in our
    cache) keeps its own home and plugins. Raises MantaError when the passphrase of existing stacks is gone.
    """
    folder = engine_dir(settings)
    backend, home = folder / "backend", folder / "home"
    for needed in (folder, backend, home):
        needed.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = dict(os.environ if base is None else base)
    for unwanted in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG", "PULUMI_STACK", "PULUMI_OPTION_CONFIG_FILE"):
        environment.pop(unwanted, None)
    environment.update(
        {
            # The engine refuses a file backend whose folder does not exist.
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(ensure_passphrase(folder)),
            # A stack file says nothing of this machine's encryption; the state does.
            "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_PYTHON_CMD": str(CHECKOUT / ".venv" / "bin" / "python"),
            "KUBECONFIG": kubeconfig or str(settings.kubeconfig),
            # The engine takes any option from the environment: no preview or update, by hand or not, goes unjudged.
            "PULUMI_OPTION_POLICY_PACK": str(CHECKOUT / "policies"),
            "MANTA_CRDS": str(toolchain.kuberay_dir / "crds"),
            **switch.variables(settings),
        }
    )
    folders = [str(toolchain.bin_dir)]
    if toolchain.pulumi.is_relative_to(settings.cache_dir):
        folders = [str(toolchain.pulumi.parent), str(PLUGINS), *folders]
        # What is not here cannot be fetched by our build either: say so at once instead of after a download's timeout.
        environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        environment["PULUMI_HOME"] = str(home)
    folders = list(dict.fromkeys(folders))
    environment["PATH"] = os.pathsep.join([*folders, _without(environment.get("PATH", os.defpath), folders)])
    return environment


def exports(environment: Mapping[str, str], base: Mapping[str, str] | None = None) -> dict[str, str]:
    """What of `environment` differs from `base` (default: this process's environment)."""
    before = os.environ if base is None else base
    return {key: value for key, value in sorted(environment.items()) if before.get(key) != value}


def ensure_passphrase(folder: Path) -> Path:
    """The file with the passphrase that encrypts the stacks' secrets, made once with 256 random bits, mode 0600."""
    path = folder / "passphrase"
    if path.exists():
        path.chmod(0o600)
        return path
    stacks = list((folder / "backend").glob(".pulumi/stacks/*/*.json"))
    if stacks:
        raise MantaError(
            f"{path} is gone, and without it the secrets of the stacks in {folder} cannot be read: restore it, or "
            "start anew with `make clean`"
        )
    part = folder / f".passphrase.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(descriptor)
    try:
        # Of two runs that start at once one wins, and both read the same.
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()
    return path


def _without(path: str, folders: list[str]) -> str:
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if folder not in folders)
