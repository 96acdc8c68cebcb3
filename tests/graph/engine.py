"""The real engine on this repository's stacks, with a backend of its own and no cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from infra.kubernetes.kuberay import CRDS_VARIABLE
from tests.contract.schemas import crds_folder

PROJECT = Path(__file__).resolve().parents[2]
PROVIDER = Path(__file__).resolve().parent / "bin"


@dataclass(frozen=True)
class Preview:
    """`resources` are the lines of the golden list; `manifests` the Kubernetes objects by kind and name."""

    resources: list[str]
    manifests: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Engine:
    pulumi: Path
    folder: Path
    seen: dict[str, Preview] = field(default_factory=dict[str, Preview])

    def environment(self) -> dict[str, str]:
        backend, home = self.folder / "backend", self.folder / "home"
        backend.mkdir(exist_ok=True)
        home.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "KUBE"))}
        path = os.pathsep.join([str(PROVIDER), str(PROJECT / "local" / "engine" / "bin"), os.environ["PATH"]])
        return {
            **kept,
            "PATH": path,
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase of these tests",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "MANTA_TEST_PYTHON": sys.executable,
            # Nothing answers there: a preview that asked a cluster would fail.
            "KUBECONFIG": str(self.folder / "no-kubeconfig"),
            CRDS_VARIABLE: str(crds_folder()),
        }

    def init(self, stack: str) -> None:
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        (scratch / "Pulumi.yaml").write_text("name: manta\nruntime: python\n")
        self._run(scratch, "stack", "init", stack)

    def record(self, stack: str, outputs: dict[str, Any]) -> None:
        """Leave `outputs` as what `stack` has exported, as if it were up."""
        self.init(stack)
        urn = f"urn:pulumi:{stack}::manta::pulumi:pulumi:Stack::manta-{stack}"
        root = {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack", "outputs": outputs}
        moment = "2026-01-01T00:00:00Z"
        manifest = {"time": moment, "magic": "", "version": ""}
        deployment = {"version": 3, "deployment": {"manifest": manifest, "resources": [root]}}
        path = self.folder / f"{stack}.json"
        path.write_text(json.dumps(deployment))
        self._run(self.folder / "scratch", "stack", "import", "--stack", stack, "--file", str(path))

    def preview(self, stack: str, changes: dict[str, Any] | None = None) -> Preview:
        """The preview of `stack`, which a second question for the same does not repeat."""
        key = f"{stack} {changes or {}}"
        if key not in self.seen:
            result = self.try_preview(stack, changes)
            assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
            self.seen[key] = _read(json.loads(result.stdout))
        return self.seen[key]

    def try_preview(
        self, stack: str, changes: dict[str, Any] | None = None, *flags: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """`pulumi preview` of `stack` with `changes` (keys without namespace; None removes one) to its stack file."""
        standing = PROJECT / "stacks" / f"Pulumi.{'-'.join(stack.split('-')[:2])}.yaml"
        values = yaml.safe_load(standing.read_text())["config"]
        values |= {f"manta:{key}": value for key, value in (changes or {}).items()}
        config = {key: value for key, value in values.items() if value is not None}
        path = self.folder / f"Pulumi.{stack}.yaml"
        path.write_text(yaml.safe_dump({"config": config}))
        return subprocess.run(
            [
                *(str(self.pulumi), "preview", "--json", "--non-interactive", "--stack", stack),
                *("--config-file", str(path), *flags),
            ],
            cwd=PROJECT,
            env={**self.environment(), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def _run(self, folder: Path, *arguments: str) -> None:
        subprocess.run(
            [str(self.pulumi), "--non-interactive", *arguments],
            cwd=folder,
            env=self.environment(),
            check=True,
            capture_output=True,
        )


def _read(digest: dict[str, Any]) -> Preview:
    lines: list[str] = []
    manifests: dict[str, dict[str, Any]] = {}
    for step in digest["steps"]:
        state = step["newState"]
        if state["type"].startswith("pulumi:providers:"):
            continue
        lines.append(_line(step["op"], state))
        inputs = state.get("inputs", {})
        if "kind" in inputs:
            manifests[f"{inputs['kind']} {inputs['metadata']['name']}"] = inputs
    return Preview(sorted(lines), manifests)


def _line(operation: str, state: dict[str, Any]) -> str:
    """`operation type parents/name [protect]`: what a reviewer of a change wants to see moving."""
    path, kind = state["urn"].split("::")[2:4]
    parents = path.split("$")[:-1]
    parent = state.get("parent", "").split("::")[-1]
    protect = " [protect]" if state.get("protect") else ""
    inside = f" in {parents[-1].rsplit(':', 1)[-1]} {parent}" if parents else ""
    return f"{operation} {state['type']} {kind}{inside}{protect}"
