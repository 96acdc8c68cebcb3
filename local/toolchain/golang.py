"""The Go compiler: where it is, and running it with progress and with errors that say what to do."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local import processes
from local.errors import MantaError
from local.progress import Stage
from local.toolchain.modules import Module

# `sudo` and cron reset PATH to a list without the folder into which go.dev's archive is unpacked.
_USUAL_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go", "/snap/bin/go")
_DOWNLOAD_ATTEMPTS = 3
_ALL_LINES = 100_000  # Kubernetes and all that it needs are about 3,300 packages
_NETWORK_SIGNS = (
    "dial tcp",
    "i/o timeout",
    "TLS handshake",
    "connection re",
    "no such host",
    "unexpected EOF",
    "proxyconnect",
    "502 Bad Gateway",
    "503 Service Unavailable",
)
_PACKAGE = re.compile(r"[\w.~-]+(/[\w.~+-]+)*")


@dataclass(frozen=True)
class Go:
    """A Go compiler and the environment in which it runs."""

    program: Path
    environment: Mapping[str, str]

    def version(self, directory: Path) -> str:
        """The version that builds the module in `directory` (`go1.26.8`): Go may fetch a newer self for it."""
        ended = processes.stream([str(self.program), "env", "GOVERSION"], cwd=directory, environment=self.environment)
        if ended.status:
            raise MantaError(explain("asking Go for its version", ended.lines), ended.output)
        return ended.lines[-1].strip()

    def module_folder(self, directory: Path, name: str) -> Path:
        """The unpacked sources of the module `name`, as pinned by the go.mod in `directory`."""
        ended = processes.stream(
            [str(self.program), "list", "-m", "-f", "{{.Dir}}", name], cwd=directory, environment=self.environment
        )
        if ended.status:
            raise MantaError(explain(f"looking for the sources of {name}", ended.lines), ended.output)
        return Path(ended.lines[-1])


def find(environment: Mapping[str, str] | None = None) -> Go | None:
    """The user's Go, or None; module proxy and private module settings of the user's are kept."""
    env = dict(os.environ if environment is None else environment)
    found = shutil.which("go", path=env.get("PATH", os.defpath))
    program = found or next((place for place in _USUAL_PLACES if os.access(place, os.X_OK)), None)
    return Go(Path(program), _settled(env)) if program else None


def version_problems(found: str | None, required: str) -> list[str]:
    """Why the Go called `found` (`go1.26.8`; None: there is none) cannot build a module that says `go {required}`."""
    remedy = f"install Go {required} or newer from https://go.dev/dl and put its bin folder on PATH"
    if found is None:
        return [f"Go is not installed: {remedy}"]
    version = _numbers(found)
    if version is None:
        return [f"Go calls its version {found!r}, which is none: {remedy}"]
    wanted = _numbers(required) or ()
    if version < wanted:
        return [f"{found} is too old to build the toolchain: {remedy}"]
    return []


def _numbers(version: str) -> tuple[int, ...] | None:
    match = re.match(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part) for part in match.groups(default="0")) if match else None


def _settled(env: dict[str, str]) -> dict[str, str]:
    """Take away what would change the binaries: cross-compiling, a workspace above the checkout, vendoring."""
    for name in ("GOOS", "GOARCH", "GOBIN", "GOROOT"):
        env.pop(name, None)
    # Version control stamps would make every commit a different binary, and fail in a checkout owned by another user.
    flags = {
        "CGO_ENABLED": "0",
        "GOWORK": "off",
        "GO111MODULE": "on",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    }
    return {"HOME": str(Path.home()), **env, **flags}


def count_packages(go: Go, module: Module, stage: Stage) -> int:
    """Fetch all that `module` needs and count the packages that go into it."""

    def on_line(line: str) -> None:
        if line.startswith("go: downloading "):
            stage.update(detail="fetching " + " ".join(line.split()[2:4]))

    tags = [flag for flag in module.flags if flag.startswith("-tags")]
    command = [str(go.program), "list", "-deps", *tags, *module.packages]
    for attempt in range(1, _DOWNLOAD_ATTEMPTS + 1):
        ended = processes.stream(
            command, cwd=module.directory, environment=go.environment, on_line=on_line, keep=_ALL_LINES
        )
        if not ended.status:
            return sum(1 for line in ended.lines if _PACKAGE.fullmatch(line))
        if not _is_network_trouble(ended.lines) or attempt == _DOWNLOAD_ATTEMPTS:
            sentence = explain(f"fetching the Go modules of the {module.name} tools", ended.lines)
            raise MantaError(sentence, "\n".join(ended.lines[-20:]))
        stage.update(detail=f"the module proxy did not answer, trying again ({attempt})")
        time.sleep(2.0 * attempt)
    raise AssertionError("the last attempt returns or raises")


def build(go: Go, module: Module, into: Path, scratch: Path, on_package: Callable[[str], None]) -> None:
    """Build the module's binaries into the folder `into`, calling `on_package` for each package that is compiled."""

    def on_line(line: str) -> None:
        if _PACKAGE.fullmatch(line):
            on_package(line)

    # One `go build` for all: while it links one binary on one core, it compiles for the next on the others.
    command = [str(go.program), "build", "-v", *module.flags, "-o", f"{into}/", *module.packages]
    environment = {**go.environment, "GOTMPDIR": str(scratch)}  # /tmp may be small, and is not cleaned after a kill -9
    ended = processes.stream(command, cwd=module.directory, environment=environment, on_line=on_line)
    if ended.status:
        problems = [line for line in ended.lines if not _PACKAGE.fullmatch(line)]
        raise MantaError(explain(f"building the {module.name} tools", problems), "\n".join(problems[-30:]))


def explain(action: str, lines: Sequence[str]) -> str:
    """The sentence for a Go command that failed with this output."""
    text = "\n".join(lines)
    if "no space left on device" in text:
        return f"the disk filled up while {action}: free some space (`go clean -cache` frees Go's), and start again"
    if "signal: killed" in text:
        return (
            f"the kernel ended the compiler while {action}, most likely for want of memory: free some, and start again"
        )
    if _is_network_trouble(lines):
        proxy = "check the network and GOPROXY, and start again: what was fetched and built is kept"
        return f"the Go module proxy could not be reached while {action}: {proxy}"
    if "checksum mismatch" in text or "SECURITY ERROR" in text:
        proxy = "the proxy in GOPROXY serves something else; use another one"
        return f"a Go module is not what go.sum pins ({action}): {proxy}"
    if "go.mod requires go >=" in text or "invalid go version" in text:
        return f"this Go is too old for {action}: install the version named above from https://go.dev/dl"
    return f"Go failed while {action}: the lines above are its own"


def _is_network_trouble(lines: Sequence[str]) -> bool:
    return any(sign in line for line in lines for sign in _NETWORK_SIGNS)
