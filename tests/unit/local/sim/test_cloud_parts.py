"""Parts of the simulated AWS that need neither a server nor a cluster."""

from __future__ import annotations

import base64
import json

import pytest

from local.errors import MantaError
from local.sim import settings
from local.sim.cloud import userdata
from local.sim.cloud.calls import read
from local.sim.cloud.capacity import Capacity
from local.sim.cloud.prices import Prices, parse

LIST = """
var InitialOnDemandPricesAWS = map[string]map[ec2types.InstanceType]float64{
	// us-east-1
	"us-east-1": {
		"g5.xlarge": 1.006000, "g5.metal": 9.500000,
		"g6.xlarge": 0.804800,
	},
	"eu-west-1": {
		"g5.xlarge": 1.123000,
	},
}
"""


def test_the_price_list_is_read_by_region() -> None:
    assert parse(LIST) == {
        "us-east-1": {"g5.xlarge": 1.006, "g5.metal": 9.5, "g6.xlarge": 0.8048},
        "eu-west-1": {"g5.xlarge": 1.123},
    }


def test_spot_costs_less_than_on_demand_and_the_same_every_time() -> None:
    prices = Prices(parse(LIST))
    found = [prices.of("us-east-1", "g5.xlarge", f"us-east-1{zone}", "spot") or 0 for zone in "abc"]
    assert all(0.3 * 1.006 <= price <= 0.6 * 1.006 for price in found)
    assert len(set(found)) == 3
    assert prices.of("us-east-1", "p5.48xlarge", "us-east-1a", "spot") is None


@pytest.mark.parametrize(
    ("family", "expected"),
    [("Compute Instance", {"g5.xlarge", "g6.xlarge"}), ("Compute Instance (bare metal)", {"g5.metal"})],
)
def test_bare_metal_is_sold_apart(family: str, expected: set[str]) -> None:
    filters = [{"Field": "regionCode", "Value": "us-east-1"}, {"Field": "productFamily", "Value": family}]
    sold = Prices(parse(LIST)).products({"Filters": filters})["PriceList"]
    assert {json.loads(item)["product"]["attributes"]["instanceType"] for item in sold} == expected


def test_a_shortage_hits_what_its_patterns_match() -> None:
    capacity = Capacity()
    capacity.set([{"capacity_type": "spot", "instance_type": "g5.*"}])
    assert not capacity.has("spot", "g5.xlarge", "us-east-1a")
    assert capacity.has("on-demand", "g5.xlarge", "us-east-1a")
    assert capacity.has("spot", "g6.xlarge", "us-east-1a")
    with pytest.raises(TypeError):
        capacity.set([{"capacitytype": "spot"}])


def test_user_data_of_al2023_tells_labels_taints_and_pods() -> None:
    document = """--//
Content-Type: application/node.eks.aws

apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  kubelet:
    config: {maxPods: 29, registerWithTaints: [{key: nvidia.com/gpu, effect: NoSchedule}]}
    flags: ['--node-labels="karpenter.sh/nodepool=gpu,team=a"']
--//--
"""
    text = f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="//"\n\n{document}'
    found = userdata.decode(base64.b64encode(text.encode()).decode())
    assert found.labels == {"karpenter.sh/nodepool": "gpu", "team": "a"}
    assert found.taints == [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]
    assert found.max_pods == 29


def test_user_data_of_bottlerocket_tells_them_too() -> None:
    text = """[settings.kubernetes]
max-pods = 58
[settings.kubernetes.node-labels]
team = "a"
[settings.kubernetes.node-taints]
"nvidia.com/gpu" = ["true:NoSchedule"]
"""
    found = userdata.decode(base64.b64encode(text.encode()).decode())
    assert found.labels == {"team": "a"}
    assert found.taints == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}]
    assert found.max_pods == 58


@pytest.mark.parametrize(
    ("service", "method", "path", "query", "expected"),
    [
        ("s3", "HEAD", "/data/a/x", "", "s3:GetObject"),
        ("s3", "GET", "/data", "list-type=2&prefix=a", "s3:ListBucket"),
        ("s3", "PUT", "/data/a/x", "partNumber=1&uploadId=u", "s3:PutObject"),
        ("s3", "DELETE", "/data/a/x", "uploadId=u", "s3:AbortMultipartUpload"),
        ("eks", "GET", "/clusters/manta-sim", "", "eks:DescribeCluster"),
        ("eks", "DELETE", "/clusters/c/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx", "", "eks:DeleteAccessEntry"),
    ],
)
def test_a_request_is_read_as_the_action_that_policies_name(
    service: str, method: str, path: str, query: str, expected: str
) -> None:
    credential = f"Credential=AKIA1/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host"
    call = read({"HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 {credential}", "REQUEST_METHOD": method, "RAW_URI": path,
                 "PATH_INFO": path, "QUERY_STRING": query}, b"")  # fmt: skip
    assert (call.action, call.access_key) == (expected, "AKIA1")


def test_the_simulations_settings_are_its_own() -> None:
    found = settings.load(
        {"HOME": "/root", "MANTA_INSTANCE": "other", "MANTA_PORT_API": "7000", "MANTA_SIM_PORT_AWS": "15000"[:4]}
    )
    assert (found.cluster.instance, str(found.cluster.state_dir), found.cluster.ports.api) == (
        "sim",
        "/var/lib/manta-sim",
        16443,
    )
    assert found.endpoint == "http://127.0.0.1:1500"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MANTA_SIM_PORT_AWZ": "1"}, "MANTA_SIM_PORT_AWZ is not a setting: did you mean MANTA_SIM_PORT_AWS"),
        ({"MANTA_SIM_PORT_AWS": "16443"}, "MANTA_SIM_PORT_AWS=16443 cannot be used"),
        ({"MANTA_SIM_INSTANCE": "No Name"}, "MANTA_SIM_INSTANCE=No Name cannot be used"),
    ],
)
def test_what_cannot_be_used_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(MantaError, match=message.replace("(", r"\(")):
        settings.load({"HOME": "/root", **variables})
