"""An endpoint behind a load balancer: TLS alone, Serve's port alone, and an end that fits Serve's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pulumi_kubernetes.networking.v1 import outputs

from infra.aws.ingress import IDLE_SECONDS
from infra.contract import Contract
from infra.errors import SettingsError
from infra.layers.serve import published, service_spec
from infra.ray import ingress
from infra.ray.service import address
from infra.settings import ServeSettings
from infra.stack import StackName
from tests.contract.manifests import CERTIFICATE, CODE, ON_AWS, PUBLISHED, ray_ingress
from tests.unit.infra.conftest import serve_values

ALB = "alb.ingress.kubernetes.io/"
STACK = StackName("serve", "dev")
DEPLOYMENT = {"name": "Classifier", "replicas": 2}


def said(name: str) -> str:
    return ray_ingress()["metadata"]["annotations"][f"{ALB}{name}"]


def settings(**deployment: Any) -> ServeSettings:
    application = {**serve_values()["applications"][0], "deployments": [{**DEPLOYMENT, **deployment}]}
    return ServeSettings.model_validate(serve_values(ingress=PUBLISHED, applications=[application]))


def test_it_listens_on_tls_alone_with_the_certificate_of_the_settings() -> None:
    assert json.loads(said("listen-ports")) == [{"HTTPS": 443}]
    assert said("certificate-arn") == CERTIFICATE
    assert said("ssl-policy").startswith("ELBSecurityPolicy-TLS13-1-2")


def test_nothing_but_serve_is_behind_it() -> None:
    spec = ray_ingress()["spec"]
    assert "defaultBackend" not in spec
    backends = [path["backend"]["service"] for rule in spec["rules"] for path in rule["http"]["paths"]]
    assert backends == [{"name": "digits-serve-svc", "port": {"number": 8000}}]
    assert all(rule["host"] == "digits.example.com" for rule in spec["rules"]), "no host answers every name"


def test_who_may_connect_is_the_platforms_to_say() -> None:
    for name in ("scheme", "inbound-cidrs", "security-groups", "group.name"):
        assert f"{ALB}{name}" not in ray_ingress()["metadata"]["annotations"]


def test_a_draining_proxy_is_found_before_it_stops_to_take_requests() -> None:
    from ray.serve._private import constants

    assert constants.PROXY_MIN_DRAINING_PERIOD_S == ingress.PROXY_DRAINS_S
    found = ingress.HEALTH_INTERVAL_S * ingress.HEALTH_FAILURES + ingress.HEALTH_TIMEOUT_S
    assert found < ingress.PROXY_DRAINS_S
    assert ingress.HEALTH_TIMEOUT_S < ingress.HEALTH_INTERVAL_S, "AWS refuses it otherwise"


def test_the_load_balancer_closes_idle_connections_before_serve_does() -> None:
    from ray.serve._private import constants

    assert IDLE_SECONDS < constants.DEFAULT_UVICORN_KEEP_ALIVE_TIMEOUT_S


@pytest.mark.parametrize(("timeout", "delay"), [(20, 20), (59.5, 60)])
def test_a_pod_that_goes_keeps_its_requests_as_long_as_its_replicas_work_on_them(timeout: float, delay: int) -> None:
    given = settings(gracefulShutdownTimeoutS=timeout)
    assert ingress.deregistration_seconds(given.applications) == delay
    spec = service_spec(STACK, given, ON_AWS, CODE)
    front = published(STACK, given, ON_AWS, spec)
    assert front
    attributes = ingress.ingress_manifest(front)["metadata"]["annotations"][f"{ALB}target-group-attributes"]
    assert f"deregistration_delay.timeout_seconds={delay}," in attributes
    assert delay <= given.preemption.drain_seconds < given.preemption.grace_seconds
    assert delay <= given.old_cluster_delay_seconds


@pytest.mark.parametrize(
    ("deployment", "words"),
    [
        ({"gracefulShutdownTimeoutS": 100}, "100 is more than preemption.drainSeconds 95"),
        ({"gracefulShutdownTimeoutS": 61}, "61 is more than oldClusterDelaySeconds 60"),
    ],
)
def test_a_replica_that_outlives_its_pod_is_refused(deployment: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**deployment)


@pytest.mark.parametrize(
    ("publish", "field"),
    [
        ({**PUBLISHED, "host": "digits"}, "host"),
        ({**PUBLISHED, "host": "*.example.com"}, "host"),
        ({**PUBLISHED, "certificate": "arn:aws:iam::111122223333:server-certificate/x"}, "certificate"),
        ({"host": "digits.example.com"}, "certificate"),
    ],
)
def test_without_a_name_and_a_certificate_nothing_is_published(publish: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"ingress.{field}"):
        ServeSettings.model_validate(serve_values(ingress=publish))


def test_a_platform_without_load_balancers_says_what_to_set(contract: Contract) -> None:
    given = settings()
    with pytest.raises(SettingsError) as caught:
        published(STACK, given, contract, service_spec(STACK, given, contract, CODE))
    assert "set manta:aws.ingress" in str(caught.value)
    assert "`pulumi up -s platform-dev`" in str(caught.value)


def test_a_certificate_of_another_region_is_refused() -> None:
    elsewhere = {**PUBLISHED, "certificate": CERTIFICATE.replace("us-east-1", "eu-west-1")}
    given = ServeSettings.model_validate(serve_values(ingress=elsewhere))
    with pytest.raises(SettingsError, match=r"manta:ingress\.certificate is in eu-west-1"):
        published(STACK, given, ON_AWS, service_spec(STACK, given, ON_AWS, CODE))


@pytest.mark.parametrize(
    ("hosts", "found"), [([{"hostname": "x.elb.amazonaws.com"}], "x.elb.amazonaws.com"), ([], None), (None, None)]
)
def test_the_address_is_what_the_load_balancer_has(hosts: Any, found: str | None) -> None:
    status = outputs.IngressStatus(load_balancer=outputs.IngressLoadBalancerStatus(ingress=hosts))
    assert address(status) == found
    assert address(None) is None


def test_an_endpoint_that_is_not_published_has_no_way_in() -> None:
    given = ServeSettings.model_validate(serve_values())
    assert published(STACK, given, ON_AWS, service_spec(STACK, given, ON_AWS, CODE)) is None
