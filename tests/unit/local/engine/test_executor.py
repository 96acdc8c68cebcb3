"""What a program's process says of an error that the engine has already told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from pulumi.runtime.settings import handle_grpc_error

from local.engine.language_host import executor


class Refuses(grpc.GenericRpcHandler):
    """Answers every call as the engine's resource monitor answers one that it no longer takes."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        del handler_call_details
        return grpc.unary_unary_rpc_method_handler(
            lambda _request, context: context.abort(grpc.StatusCode.UNKNOWN, self.words)
        )

    def __init__(self, words: str) -> None:
        self.words = words


@pytest.fixture
def raised(request: pytest.FixtureRequest) -> Iterator[BaseException]:
    """What the SDK raises in a program when a registration is answered with the parameter's words."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Refuses(request.param)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(Exception) as caught:  # noqa: PT011
        try:
            channel.unary_unary("/pulumirpc.ResourceMonitor/RegisterResource")(b"")
        except grpc.RpcError as error:
            handle_grpc_error(error)
    yield caught.value
    server.stop(None).wait()


@pytest.mark.parametrize("raised", ["resource monitor shut down"], indirect=True)
def test_a_registration_that_the_stopped_engine_ends_is_not_told_again(raised: BaseException) -> None:
    assert executor.monitor_is_gone(raised)


@pytest.mark.parametrize("raised", ["the type is unknown"], indirect=True)
def test_any_other_refusal_is_told(raised: BaseException) -> None:
    assert not executor.monitor_is_gone(raised)
