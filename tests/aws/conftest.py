"""A simulated account in a process of its own, the provider as a process, and the real engine on both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from local.engine.kubernetes.values import Decoded, decode, encode

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGIN = CHECKOUT / "local" / "engine" / "bin" / "pulumi-resource-aws"
REGION = "us-east-1"


@dataclass(frozen=True)
class Account:
    url: str

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
        return boto3.client(service, region_name=REGION, endpoint_url=self.url, **keys)  # type: ignore[call-overload]

    def refuse(self, action: str) -> None:
        """Answer `action` (a regular expression) with an error until told otherwise; empty: answer all."""
        body = f'{{"action": "{action}"}}'.encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/test/refuse", data=body)).read()

    def refuse_each_once(self, on: bool) -> list[str]:
        """Answer the first call of each action that changes something with an error; returns what was."""
        body = json.dumps({"each_once": on}).encode()
        answer = urllib.request.urlopen(urllib.request.Request(f"{self.url}/test/refuse", data=body)).read()
        return json.loads(answer)["refused"]

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_", "MANTA_SIM"))}
        return {
            **kept,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MANTA_PYTHON": sys.executable,
        }


@dataclass(frozen=True)
class Made:
    """A resource as the engine keeps it."""

    token: str
    id: str
    inputs: Any
    state: Any

    @property
    def value(self) -> dict[str, Any]:
        return decode(self.state).value


class RefusedError(Exception):
    """The provider's own sentence; `kept` is the state of what exists nevertheless."""

    def __init__(self, message: str, kept: Made | None = None) -> None:
        super().__init__(message)
        self.kept = kept


class Provider:
    """Calls as the engine makes them."""

    def __init__(self, stub: provider_pb2_grpc.ResourceProviderStub) -> None:
        self.stub = stub

    def check(self, token: str, inputs: dict[str, Any], olds: Any = None) -> Any:
        urn = f"urn:pulumi:t::t::{token}::r"
        return self.stub.Check(provider_pb2.CheckRequest(urn=urn, type=token, news=encode(inputs), olds=olds))

    def faults(self, token: str, inputs: dict[str, Any]) -> str:
        return "; ".join(failure.reason for failure in self.check(token, inputs).failures)

    def create(self, token: str, inputs: dict[str, Any], *, preview: bool = False) -> Made:
        checked = self.check(token, inputs)
        assert not checked.failures, checked.failures
        request = provider_pb2.CreateRequest(type=token, properties=checked.inputs, preview=preview)
        answer = self._told(lambda: self.stub.Create(request), token, checked.inputs)
        return Made(token, answer.id, checked.inputs, answer.properties)

    def diff(self, made: Made, inputs: dict[str, Any]) -> Any:
        checked = self.check(made.token, inputs, made.inputs)
        assert not checked.failures, checked.failures
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=made.id, type=made.token, olds=made.state, old_inputs=made.inputs, news=checked.inputs
            )
        )

    def update(self, made: Made, inputs: dict[str, Any]) -> Made:
        checked = self.check(made.token, inputs, made.inputs)
        assert not checked.failures, checked.failures
        request = provider_pb2.UpdateRequest(
            id=made.id, type=made.token, olds=made.state, old_inputs=made.inputs, news=checked.inputs
        )
        answer = self._told(lambda: self.stub.Update(request), made.token, checked.inputs)
        return Made(made.token, made.id, checked.inputs, answer.properties)

    def read(self, made: Made) -> Made | None:
        answer = self.stub.Read(
            provider_pb2.ReadRequest(id=made.id, type=made.token, properties=made.state, inputs=made.inputs)
        )
        return Made(made.token, answer.id, answer.inputs, answer.properties) if answer.id else None

    def import_(self, token: str, identifier: str) -> Decoded:
        return decode(self.stub.Read(provider_pb2.ReadRequest(id=identifier, type=token)).inputs)

    def delete(self, made: Made) -> None:
        request = provider_pb2.DeleteRequest(id=made.id, type=made.token, properties=made.state, old_inputs=made.inputs)
        self._told(lambda: self.stub.Delete(request), made.token, made.inputs)

    def _told(self, call: Any, token: str, inputs: Any) -> Any:
        try:
            return call()
        except grpc.RpcError as error:
            for key, value in error.trailing_metadata() or ():  # type: ignore[attr-defined]
                if key == "grpc-status-details-bin":
                    details = provider_pb2.ErrorResourceInitFailed()
                    assert status_pb2.Status.FromString(value).details[0].Unpack(details)
                    raise RefusedError(
                        "; ".join(details.reasons), Made(token, details.id, inputs, details.properties)
                    ) from None
            raise RefusedError(error.details()) from None  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.aws.server"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    found = Account(process.stdout.readline().strip())
    found.client("iam").create_user(UserName="deployer")
    yield found
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def start(account: Account, **arguments: Any) -> tuple[Provider, subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(PLUGIN), "127.0.0.1:1"],
        env=account.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}"))
    given = encode({"region": REGION, "defaultTags": '{"tags": {"owner": "tests"}}', **arguments})
    stub.Configure(provider_pb2.ConfigureRequest(args=given), wait_for_ready=True)
    return Provider(stub), process


@pytest.fixture(scope="module")
def provider(account: Account) -> Iterator[Provider]:
    found, process = start(account)
    yield found
    process.send_signal(2)
    assert process.wait(20) == 0
    assert process.stdout is not None
    process.stdout.close()
