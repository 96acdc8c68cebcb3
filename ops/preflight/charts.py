"""Whether Helm would find the charts that a platform installs, each in its version."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from infra.kubernetes import charts
from ops.preflight.outcome import Outcome
from ops.preflight.stackfile import Chart

_TIMEOUT_S = 10
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# The operator's chart has one place; its manifests are here.
_ANOTHER = {
    False: f"or set {charts.VARIABLE} to a folder that holds it",
    True: "or set manta:kuberay.source to manifests",
}


def check(wanted: tuple[Chart, ...]) -> Iterator[Outcome]:
    """One answer a chart, all asked at once: where there is no network, each waits for its time to run out."""
    with ThreadPoolExecutor(8) as pool:
        yield from pool.map(_look, wanted)


def _look(chart: Chart) -> Outcome:
    place = chart.place if chart.fixed else charts.place(chart.place, os.environ)
    title = f"{chart.name} {chart.version}"
    if not re.match(r"(oci|https?)://", place):
        there = (Path(place) / chart.name / "Chart.yaml").is_file()
        if there:
            return Outcome("charts", "ok", f"{chart.name} lies in {place}")
        return Outcome("charts", "failed", f"{place} holds no chart {chart.name}: put it there")
    try:
        found = in_registry(place, chart) if place.startswith("oci://") else in_repository(place, chart)
    except (OSError, ValueError) as error:
        host = urlsplit(place).hostname
        reason = f"{host} cannot be asked for {title} from here ({_reason(error)})"
        says = f"{reason}: open the way there, {_ANOTHER[chart.fixed]}"
        return Outcome("charts", "failed", says)
    if found:
        return Outcome("charts", "ok", f"{place} has {title}")
    return Outcome("charts", "failed", f"{place} has no {title}: correct the address, {_ANOTHER[chart.fixed]}")


def in_repository(place: str, chart: Chart) -> bool:
    text = _get(f"{place.rstrip('/')}/index.yaml")[1]
    # An index has megabytes, which a YAML parser reads for half a minute; a chart's archive carries name and version.
    return re.search(rf"\b{re.escape(chart.name)}-v?{re.escape(chart.version)}\.tgz", text) is not None


def in_registry(place: str, chart: Chart, scheme: str = "https") -> bool:
    address = urlsplit(place)
    repository = f"{address.path.strip('/')}/{chart.name}"
    url = f"{scheme}://{address.netloc}/v2/{repository}/manifests/{chart.version}"
    status, challenge = _get(url)
    if status == 401:
        # Registries hand anybody a token for what is public.
        given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        query = urlencode({"service": given.get("service", ""), "scope": f"repository:{repository}:pull"})
        token = json.loads(_get(f"{given.get('realm', '')}?{query}")[1])["token"]
        status, _ = _get(url, f"Bearer {token}")
    return status == 200


def _get(url: str, authorization: str = "") -> tuple[int, str]:
    """Status and text; of a refusal for want of a token, what it asks for. Raises OSError or ValueError."""
    headers = {"Accept": _MANIFEST if "/manifests/" in url else "*/*"}
    if authorization:
        headers["Authorization"] = authorization
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s) by what calls it
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        if error.code == 401 and not authorization:
            return 401, error.headers.get("WWW-Authenticate", "")
        if error.code == 404:
            return 404, ""
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code}"
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())[:120]
