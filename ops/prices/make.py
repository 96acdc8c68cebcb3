"""Makes ec2.json: `python -m ops.prices.make PATH_OF_karpenter-provider-aws`.

Prices come from the table that Karpenter's AWS provider is released with, which its maintainers generate from AWS's
price list; sizes and GPUs from what AWS's own API says of each type, as recorded in moto. Nothing is asked of AWS here.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from ops.prices.table import EC2

# What a cluster for Ray runs on: current general, compute, memory, burstable and NVIDIA GPU types.
_FAMILIES = re.compile(r"(g[4-9]|p[4-9]|m[5-9]|c[5-9]|r[5-9]|t3|t4g)")
_PRICE = re.compile(r'"([a-z0-9-]+\.[a-z0-9-]+)": ([0-9.]+)')
_GENERATED = re.compile(r"// generated at (\S+) for (\S+)")


def main(karpenter: Path) -> None:
    source = (karpenter / "pkg/providers/pricing/zz_generated.pricing_aws.go").read_text()
    generated = _GENERATED.search(source)
    if generated is None:
        sys.exit(f"{karpenter} holds no generated price table")
    moto: Any = __import__("moto")
    recorded = Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz"
    known = cast(dict[str, Any], json.loads(gzip.decompress(recorded.read_bytes())))
    types = {
        name: _row(float(price), known[name])
        for name, price in sorted(_PRICE.findall(source))
        if _FAMILIES.match(name) and name in known
    }
    moto_version = metadata.version("moto")
    head = {
        "date": generated[1][:10],
        "region": generated[2],
        "source": f"AWS on-demand list prices (Linux), from {karpenter.name}; sizes from moto {moto_version}",
        "columns": ["USD an hour", "vCPUs", "GiB of memory", "GPUs", "GPU"],
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in types.items())
    EC2.write_text(json.dumps(head, indent=1)[:-2] + ',\n "types": {\n' + lines + "\n }\n}\n")


def _row(price: float, described: dict[str, Any]) -> list[Any]:
    gpus = cast(list[dict[str, Any]], (described.get("GpuInfo") or {}).get("Gpus") or [])
    return [
        price,
        int(described["VCpuInfo"]["DefaultVCpus"]),
        round(int(described["MemoryInfo"]["SizeInMiB"]) / 1024, 2),
        sum(int(gpu["Count"]) for gpu in gpus),
        str(gpus[0]["Name"]) if gpus else "",
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
