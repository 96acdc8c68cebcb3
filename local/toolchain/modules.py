"""What is built from which Go module, with which flags: the module files next to this one hold every version."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Without symbol tables the binaries are a third smaller; nothing here reads them.
_STRIP = "-s -w"


@dataclass(frozen=True)
class Module:
    """A Go module and the main packages built in it; each binary is named after the last element of its package."""

    name: str
    directory: Path
    packages: tuple[str, ...]
    flags: tuple[str, ...]
    shared: tuple[
        tuple[str, str, str], ...
    ] = ()  # (module, folder in it, folder in the result): files copied as they are
    trees: tuple[
        tuple[str, str, str], ...
    ] = ()  # the same, but the whole folder with those in it, or one file that is not YAML

    @property
    def binaries(self) -> tuple[str, ...]:
        return tuple(package.rsplit("/", 1)[-1] for package in self.packages)


def cluster() -> Module:
    """Kubernetes with etcd, CoreDNS, the pause program, the KubeRay operator and the S3 server."""
    directory = HERE / "cluster"
    version = required_version(directory, "k8s.io/kubernetes")
    kubernetes = _set("k8s.io/component-base/version", gitVersion=version, **_parts(version))
    # client-go keeps a copy of its own, which ends up in the user agent of every request.
    kubernetes += _set("k8s.io/client-go/pkg/version", gitVersion=version)
    operator = "github.com/ray-project/kuberay/ray-operator"
    return Module(
        name="cluster",
        directory=directory,
        packages=("./kube", "./coredns", "./pause", operator, "github.com/versity/versitygw/cmd/versitygw"),
        flags=(f"-ldflags={_STRIP}", f"-ldflags=./kube={_STRIP}{kubernetes}"),
        shared=((operator, "config/crd/bases", "kuberay/crds"), (operator, "config/rbac", "kuberay/rbac")),
    )


def aws() -> Module:
    """What only the simulated AWS needs: Karpenter's AWS controller, and KWOK, which plays the nodes."""
    provider, kwok = "github.com/aws/karpenter-provider-aws", "sigs.k8s.io/kwok"
    directory = HERE / "aws"
    version = required_version(directory, provider)
    karpenter = _set("sigs.k8s.io/karpenter/pkg/operator", Version=version.removeprefix("v"))
    stages = "kustomize/stage"
    return Module(
        name="aws",
        directory=directory,
        packages=(f"{provider}/cmd/controller", f"{kwok}/cmd/kwok"),
        flags=(
            f"-ldflags={_STRIP}",
            f"-ldflags={provider}/cmd/controller={_STRIP}{karpenter}",
        ),
        shared=(
            (provider, "pkg/apis/crds", "karpenter/crds"),
            (kwok, f"{stages}/node/fast", "kwok/node"),
            (kwok, f"{stages}/node/heartbeat-with-lease", "kwok/lease"),
            (kwok, f"{stages}/pod/fast", "kwok/pod"),
        ),
        trees=(
            (provider, "charts/karpenter", "charts/karpenter"),
            (provider, "charts/karpenter-crd", "charts/karpenter-crd"),
            # The price list of the day on which this version was made: the only one that can be had without AWS.
            (provider, "pkg/providers/pricing/zz_generated.pricing_aws.go", "karpenter/prices.go"),
        ),
    )


def helm() -> Module:
    """Helm, which compiles only against newer Kubernetes libraries than Karpenter does."""
    directory = HERE / "helm"
    stamp = _set("helm.sh/helm/v3/internal/version", version=required_version(directory, "helm.sh/helm/v3"))
    return Module(
        name="helm", directory=directory, packages=("helm.sh/helm/v3/cmd/helm",), flags=(f"-ldflags={_STRIP}{stamp}",)
    )


def pulumi() -> Module:
    """The Pulumi CLI."""
    directory = HERE / "pulumi"
    version = required_version(directory, "github.com/pulumi/pulumi/sdk/v3")
    stamp = _set("github.com/pulumi/pulumi/sdk/v3/go/common/version", Version=version)
    return Module(
        name="pulumi",
        directory=directory,
        packages=("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",),
        flags=("-tags=osusergo,grpcnotrace", f"-ldflags={_STRIP}{stamp}"),
    )


def monitoring() -> Module:
    """The Prometheus operator, what reloads its servers' configuration, and Alertmanager."""
    directory = HERE / "monitoring"
    operator = "github.com/prometheus-operator/prometheus-operator"
    version = required_version(directory, operator).removeprefix("v")
    stamp = _set("github.com/prometheus/common/version", Version=version)
    return Module(
        name="monitoring",
        directory=directory,
        packages=(
            f"{operator}/cmd/operator",
            f"{operator}/cmd/prometheus-config-reloader",
            "github.com/prometheus/alertmanager/cmd/alertmanager",
        ),
        flags=(f"-ldflags={_STRIP}", f"-ldflags={operator}/cmd/operator={_STRIP}{stamp}"),
        shared=((operator, "example/prometheus-operator-crd", "monitoring/crds"),),
    )


def prometheus() -> Module:
    """Prometheus, which compiles only against older Kubernetes libraries than its operator does.

    Debian's is built without the discovery of Kubernetes' pods, which the operator's configuration needs.
    """
    directory = HERE / "prometheus"
    program = "github.com/prometheus/prometheus"
    # Its modules are v0.305.0 where its releases are 3.5.0.
    _, middle, patch = required_version(directory, program).split(".")
    version = f"{int(middle) // 100}.{int(middle) % 100}.{patch}"
    stamp = _set("github.com/prometheus/common/version", Version=version)
    return Module(
        name="prometheus",
        directory=directory,
        packages=(f"{program}/cmd/prometheus",),
        flags=(f"-ldflags={_STRIP}{stamp}",),
    )


def checks() -> Module:
    """What only `make test` needs: the linter of GitHub's workflows."""
    return Module(
        name="checks",
        directory=HERE / "checks",
        packages=("github.com/rhysd/actionlint/cmd/actionlint",),
        flags=(f"-ldflags={_STRIP}",),
    )


def required_version(directory: Path, module: str) -> str:
    """The version (`v1.34.4`) that the go.mod in `directory` requires of `module`."""
    return _go_mod_field(directory, rf"^\s*(?:require )?{re.escape(module)} (v\S+)")


def go_version(directory: Path) -> str:
    """The oldest Go (`1.26`) that the go.mod in `directory` accepts."""
    return _go_mod_field(directory, r"^go (\S+)")


def key(module: Module, compiler: str) -> str:
    """Names a build by all that goes into it: module files, sources, packages, flags and the compiler's version."""
    digest = hashlib.sha256()
    copies = (word for copy in (*module.shared, *module.trees) for word in copy)
    for part in (compiler, *module.packages, *module.flags, *copies):
        _add(digest, part.encode())
    for path in sources(module.directory):
        _add(digest, str(path.relative_to(module.directory)).encode())
        _add(digest, path.read_bytes())
    return digest.hexdigest()[:16]


def sources(directory: Path) -> Sequence[Path]:
    found = (path for pattern in ("go.mod", "go.sum", "**/*.go") for path in directory.glob(pattern))
    return sorted(path for path in found if not path.name.endswith("_test.go"))


def _add(digest: hashlib._Hash, part: bytes) -> None:  # pyright: ignore[reportPrivateUsage]
    digest.update(len(part).to_bytes(8, "big") + part)


def _go_mod_field(directory: Path, pattern: str) -> str:
    text = (directory / "go.mod").read_text()
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"{directory}/go.mod has no line like {pattern}")
    return match.group(1)


def _parts(version: str) -> dict[str, str]:
    major, minor, _ = version.removeprefix("v").split(".", 2)
    return {"gitMajor": major, "gitMinor": minor}


def _set(package: str, **variables: str) -> str:
    return "".join(f" -X {package}.{name}={value}" for name, value in variables.items())
