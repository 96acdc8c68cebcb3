"""Certificates: who they make their bearer, and when they are made again."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.cluster import pki
from local.cluster.layout import Layout
from local.errors import MantaError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    for folder in layout.folders():
        folder.mkdir(parents=True, exist_ok=True)
    return layout


def certificate(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((layout.pki / f"{name}.crt").read_bytes())


def usages(layout: Layout, name: str) -> set[x509.ObjectIdentifier]:
    return set(certificate(layout, name).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def subject(layout: Layout, name: str) -> tuple[str, list[str]]:
    names = certificate(layout, name).subject
    organisations = [str(value.value) for value in names.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return str(names.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value), organisations


def contents(layout: Layout) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in layout.pki.iterdir()}


def test_every_certificate_is_signed_by_the_authority_it_names(layout: Layout) -> None:
    assert pki.ensure(layout)
    for request in pki.REQUESTS:
        issuer = certificate(layout, f"{request.authority}-ca")
        certificate(layout, request.file).verify_directly_issued_by(issuer)
        other = certificate(layout, "etcd-ca" if request.authority == "cluster" else "cluster-ca")
        with pytest.raises(ValueError, match="Issuer"):
            certificate(layout, request.file).verify_directly_issued_by(other)


def test_identities_are_the_ones_kubernetes_grants_rights_to(layout: Layout) -> None:
    pki.ensure(layout)
    assert subject(layout, "node") == ("system:node:manta", ["system:nodes"])
    assert subject(layout, "scheduler") == ("system:kube-scheduler", [])
    assert subject(layout, "admin")[1] == ["system:masters"]
    masters = [request.file for request in pki.REQUESTS if request.group == "system:masters"]
    assert masters == ["admin"], "no component may do everything"


def test_a_client_cannot_pose_as_a_server_nor_a_server_log_in(layout: Layout) -> None:
    pki.ensure(layout)
    assert usages(layout, "node") == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert usages(layout, "kubelet") == {ExtendedKeyUsageOID.SERVER_AUTH}
    assert usages(layout, "apiserver") == {ExtendedKeyUsageOID.SERVER_AUTH}
    authority = certificate(layout, "node").extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not authority.ca


def test_keys_are_for_root_alone_and_fit_their_certificates(layout: Layout) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pki.ensure(layout)
    for request in pki.REQUESTS:
        file = layout.pki / f"{request.file}.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        key = load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.public_key() == certificate(layout, request.file).public_key()


def test_a_second_run_makes_nothing(layout: Layout) -> None:
    pki.ensure(layout)
    before = contents(layout)
    assert not pki.ensure(layout)
    assert contents(layout) == before


def test_a_missing_certificate_is_made_again_and_no_other(layout: Layout) -> None:
    pki.ensure(layout)
    before = contents(layout)
    (layout.pki / "node.key").unlink()
    assert pki.ensure(layout)
    changed = {name for name, data in contents(layout).items() if before[name] != data}
    assert changed == {"node.key", "node.crt"}


def test_a_certificate_is_renewed_a_month_before_its_end(layout: Layout) -> None:
    pki.ensure(layout)
    before = contents(layout)
    index_file = layout.authorities / "index.json"
    index = json.loads(index_file.read_text())
    index["proxy"]["ends"] = (datetime.now(UTC) + timedelta(days=29)).isoformat()
    index["admin"]["ends"] = (datetime.now(UTC) + timedelta(days=31)).isoformat()
    index_file.write_text(json.dumps(index))
    assert pki.ensure(layout)
    assert {name for name, data in contents(layout).items() if before[name] != data} == {"proxy.key", "proxy.crt"}


def test_another_request_makes_another_certificate(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    pki.ensure(layout)
    more = tuple(
        pki.Request("kubelet", "cluster", "manta", hosts=("manta", "10.9.9.9"), client=False)
        if r.file == "kubelet"
        else r
        for r in pki.REQUESTS
    )
    monkeypatch.setattr(pki, "REQUESTS", more)
    assert pki.ensure(layout)
    names = certificate(layout, "kubelet").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.9.9.9"]


def test_a_lost_authority_is_replaced_with_everything_it_signed(layout: Layout) -> None:
    pki.ensure(layout)
    before = contents(layout)
    (layout.pki / "etcd-ca.crt").unlink()
    assert pki.ensure(layout)
    changed = {name for name, data in contents(layout).items() if before[name] != data}
    assert changed == {"etcd-ca.crt", "etcd.crt", "etcd.key", "etcd-client.crt", "etcd-client.key"}
    certificate(layout, "etcd").verify_directly_issued_by(certificate(layout, "etcd-ca"))


def test_an_index_cut_short_is_no_obstacle(layout: Layout) -> None:
    pki.ensure(layout)
    (layout.authorities / "index.json").write_text('{"node": {"requ')
    assert pki.ensure(layout)
    assert not pki.ensure(layout)


def test_a_damaged_authority_is_an_error_that_says_what_to_remove(layout: Layout) -> None:
    pki.ensure(layout)
    (layout.authorities / "cluster-ca.key").write_text("garbage")
    (layout.pki / "node.crt").unlink()
    with pytest.raises(MantaError, match=r"cluster-ca\.key .* damaged: remove both"):
        pki.ensure(layout)


def test_tokens_and_stored_secrets_outlive_new_certificates(layout: Layout) -> None:
    pki.ensure(layout)
    kept = {name: (layout.pki / name).read_bytes() for name in ("service-account.key", "encryption.json")}
    for name in ("cluster-ca.crt", "etcd-ca.crt"):
        (layout.pki / name).unlink()
    pki.ensure(layout)
    assert kept == {name: (layout.pki / name).read_bytes() for name in kept}


def test_two_clusters_share_no_key(tmp_path: Path) -> None:
    found: list[set[bytes]] = []
    for name in ("one", "two"):
        layout = Layout(tmp_path / name)
        for folder in layout.folders():
            folder.mkdir(parents=True, exist_ok=True)
        pki.ensure(layout)
        found.append({path.read_bytes() for path in layout.pki.iterdir()})
    assert not found[0] & found[1]
