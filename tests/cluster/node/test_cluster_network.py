"""Pods find and reach each other and nothing outside; people reach Services on this machine's loopback."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator

import pytest

from local.cluster.publish import Publication, publish
from local.errors import MantaError
from tests.cluster.node.conftest import Second, eventually, free_ports, shell_pod

WEB = ("/bin/python3", "-m", "http.server", "8080", "--directory", "/lib64")
# Answers every line with the same line, for as long as the client likes.
ECHO = """
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
socketserver.ThreadingTCPServer(("", 8081), Echo).serve_forever()
"""


def service(name: str, port: int) -> str:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})


@pytest.fixture(scope="module")
def pods(with_pods: Second) -> Second:
    with_pods.up()
    for name, command, port in (("web", WEB, 8080), ("echo", ("/bin/python3", "-c", ECHO), 8081)):
        with_pods.kubectl("apply", "-f", "-", text=shell_pod(name, *command, labels={"app": name}))
        with_pods.kubectl("apply", "-f", "-", text=service(name, port))
    with_pods.kubectl("apply", "-f", "-", text=shell_pod("shell", "/bin/sleep", "infinity"))
    for name in ("web", "echo", "shell"):
        with_pods.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    return with_pods


@pytest.fixture(autouse=True)
def _unpublish(pods: Second) -> Iterator[None]:
    yield
    publish(pods.settings, [])


def in_pod(second: Second, command: str) -> str:
    return second.kubectl("exec", "shell", "--", "/bin/sh", "-c", command)


def fetch(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return answer.status


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_pod_reaches_a_service_of_another_pod_by_name(pods: Second) -> None:
    def answers() -> bool:
        return (
            in_pod(pods, "curl -s -m 5 -o /dev/null -w '%{http_code}' http://web.default.svc.cluster.local || true")
            == "200"
        )

    eventually(answers, "the Service answers in the pod", within_s=20)
    assert in_pod(pods, "curl -s -m 5 -o /dev/null -w '%{http_code}' http://web") == "200"


def test_a_pod_reaches_itself_through_its_service(pods: Second) -> None:
    script = "curl -s -m 5 -o /dev/null -w '%{http_code}' http://web.default"
    # The pod's own host name is `web` too; the longer name makes it go through the Service.
    assert pods.kubectl("exec", "web", "--", "/bin/sh", "-c", script) == "200"


def test_a_service_resolves_as_soon_as_it_exists(pods: Second) -> None:
    ask = "getent hosts late.default.svc.cluster.local || true"
    pods.kubectl("delete", "service", "late", "--ignore-not-found")
    assert in_pod(pods, ask) == ""
    pods.kubectl("apply", "-f", "-", text=service("late", 8080))
    eventually(lambda: in_pod(pods, ask) != "", "the new name resolves", within_s=5)
    pods.kubectl("delete", "service", "late")


def test_a_name_outside_does_not_exist_rather_than_fail(pods: Second) -> None:
    script = "import socket\ntry: socket.getaddrinfo('example.com', 80)\nexcept socket.gaierror as e: print(e.errno)"
    answer = pods.kubectl("exec", "shell", "--", "/bin/python3", "-c", script)
    assert int(answer) == socket.EAI_NONAME


def test_a_pod_reaches_no_address_of_the_host(pods: Second) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104 - the point is that pods cannot reach it
        port = listener.getsockname()[1]
        addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # no packet is sent; the kernel chooses the address it would come from
            addresses.add(probe.getsockname()[0])
        for address in addresses - {"127.0.0.1", "127.0.1.1"}:
            assert reachable(port)
            script = f"curl -s -m 3 http://{address}:{port} >/dev/null; echo $?"
            assert in_pod(pods, script).strip() == "7", f"a pod could connect to {address} of the host"


def test_a_pod_talks_to_the_api_server_as_its_service_account(pods: Second) -> None:
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    command = (
        f'curl -s -m 5 --cacert {account}/ca.crt -H "Authorization: Bearer $(cat {account}/token)" '
        "https://kubernetes.default.svc/api/v1/namespaces/default/secrets"
    )
    answer = json.loads(in_pod(pods, command))
    assert answer["code"] == 403
    assert "system:serviceaccount:default:default" in answer["message"]


def test_logs_come_through_the_api_server(pods: Second) -> None:
    in_pod(pods, "curl -s -m 5 http://web/from-the-log-test || true")
    eventually(lambda: "/from-the-log-test" in pods.kubectl("logs", "web"), "the request is in the log", within_s=10)


def test_published_services_answer_on_loopback_and_unknown_ones_are_left_out(pods: Second) -> None:
    first, second = free_ports(2)
    web = Publication("web", first, "default", "web", 80)
    missing = Publication("missing", second, "default", "missing", 80)
    assert publish(pods.settings, [web, missing]) == (web,)
    assert fetch(first) == 200
    assert not reachable(second)
    assert publish(pods.settings, []) == ()
    eventually(lambda: not reachable(first), "the port is closed again", within_s=5)


def test_open_connections_outlive_a_change_of_what_is_published(pods: Second) -> None:
    first, second = free_ports(2)
    echo = Publication("echo", first, "default", "echo", 80)
    publish(pods.settings, [echo])
    with socket.create_connection(("127.0.0.1", first), timeout=10) as connection:
        lines = connection.makefile("rw")
        print("before", file=lines, flush=True)
        assert lines.readline() == "before\n"
        publish(pods.settings, [echo, Publication("web", second, "default", "web", 80)])
        assert fetch(second) == 200
        print("after", file=lines, flush=True)
        assert lines.readline() == "after\n"


def test_no_request_is_lost_while_the_publication_changes(pods: Second) -> None:
    first, second = free_ports(2)
    web = Publication("web", first, "default", "web", 80)
    publish(pods.settings, [web])
    failures: list[Exception] = []
    done, requests = threading.Event(), 0

    def load() -> None:
        nonlocal requests
        while not done.is_set():
            try:
                assert fetch(first) == 200
                requests += 1
            except Exception as error:
                failures.append(error)

    worker = threading.Thread(target=load)
    worker.start()
    for number in range(6):
        publish(pods.settings, [web] if number % 2 else [web, Publication("echo", second, "default", "echo", 80)])
    done.set()
    worker.join()
    assert not failures
    assert requests > 10


def test_what_was_published_is_published_after_the_next_start(pods: Second) -> None:
    (port,) = free_ports(1)
    publish(pods.settings, [Publication("web", port, "default", "web", 80)])
    pods.down()
    assert not reachable(port)
    pods.up()
    pods.kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")

    def answers() -> bool:
        try:
            return fetch(port) == 200
        except OSError:
            return False

    eventually(answers, "the published Service answers after the start", within_s=30)


def test_publishing_on_a_taken_port_is_an_error_and_changes_nothing(pods: Second) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MantaError, match=f"port {port} on 127.0.0.1, meant for mlflow, .*MANTA_PORT_MLFLOW"):
            publish(pods.settings, [Publication("mlflow", port, "default", "web", 80)])
    assert pods.get("nodes")["items"], "the API server is still published"
