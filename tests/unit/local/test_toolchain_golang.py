"""Go is found where people install it, sees nothing that would change the binaries, and its failures are explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.toolchain import golang


def test_go_is_found_on_path(tmp_path: Path) -> None:
    program = tmp_path / "go"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found = golang.find({"PATH": str(tmp_path)})
    assert found is not None
    assert found.program == program


def test_the_users_proxy_is_kept_and_what_would_change_the_binaries_is_not() -> None:
    found = golang.find({"PATH": "/usr/local/go/bin:/usr/bin", "GOPROXY": "https://mirror.example", "GOOS": "plan9"})
    assert found is not None, "these tests need Go, as `make up` does"
    environment = found.environment
    assert environment["GOPROXY"] == "https://mirror.example"
    assert "GOOS" not in environment
    assert environment["CGO_ENABLED"] == "0"
    assert environment["GOWORK"] == "off", "a go.work above the checkout would replace pinned modules"
    assert environment["HOME"], "without it Go has no cache"


@pytest.mark.parametrize(
    ("found", "required", "says"),
    [
        (None, "1.26", "Go is not installed: install Go 1.26 or newer"),
        ("go1.19.8", "1.26", "go1.19.8 is too old"),
        ("go1.9", "1.26", "go1.9 is too old"),
        ("go1.26.0", "1.26.3", "go1.26.0 is too old"),
        ("devel", "1.26", "'devel', which is none"),
    ],
)
def test_a_go_that_cannot_build_is_named_with_the_remedy(found: str | None, required: str, says: str) -> None:
    (sentence,) = golang.version_problems(found, required)
    assert says in sentence
    assert "https://go.dev/dl" in sentence


@pytest.mark.parametrize("found", ["go1.26", "go1.26.8", "go1.27rc1", "go2.0", "go1.100.1"])
def test_a_go_of_the_version_or_newer_is_accepted(found: str) -> None:
    assert golang.version_problems(found, "1.26") == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('Get "https://p/x.zip": dial tcp: lookup p on 10.0.0.1:53: no such host', "proxy could not be reached"),
        ("x: unexpected EOF", "proxy could not be reached"),
        ("write /root/.cache/go-build/1: no space left on device", "the disk filled up"),
        ("k8s.io/api/core/v1: compile: signal: killed", "for want of memory"),
        ("verifying k8s.io/api@v0.34.4: checksum mismatch", "is not what go.sum pins"),
        ("go: go.mod requires go >= 1.26 (running go 1.22.1; GOTOOLCHAIN=local)", "this Go is too old"),
        ("./main.go:3:1: syntax error", "Go failed while building"),
    ],
)
def test_a_failure_of_go_is_explained(line: str, says: str) -> None:
    sentence = golang.explain("building the cluster tools", [line])
    assert says in sentence
    assert "\n" not in sentence
