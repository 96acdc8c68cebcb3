"""Issuing certificates with the cryptography library."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.cluster.files import write_private
from local.errors import MantaError

if TYPE_CHECKING:
    from local.cluster.pki import Request

_AUTHORITY_LIFE = timedelta(days=3650)
_CERTIFICATE_LIFE = timedelta(days=365)
_CLOCK_SKEW = timedelta(hours=1)  # virtual machines wake up with their clock behind


@dataclass(frozen=True)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    fingerprint: str


def private_key() -> bytes:
    """A new P-256 key, PEM."""
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def authority(keys: Path, certificates: Path, name: str) -> Authority:
    """The authority `name`, made anew when its key or certificate is missing."""
    key_file, certificate_file = keys / f"{name}-ca.key", certificates / f"{name}-ca.crt"
    if not (key_file.exists() and certificate_file.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(key_file, _pem(key))
        write_private(certificate_file, _self_signed(key, f"manta {name}").public_bytes(serialization.Encoding.PEM))
    try:
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except ValueError:
        raise MantaError(
            f"{key_file} or {certificate_file} is damaged: remove both, and `make up` makes new certificates"
        ) from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != certificate.public_key():
        raise MantaError(f"{key_file} does not belong to {certificate_file}: remove both, and run `make up` again")
    return Authority(certificate, loaded, hashlib.sha256(certificate_file.read_bytes()).hexdigest())


def certificate(signer: Authority, request: Request) -> tuple[bytes, bytes, datetime]:
    """(certificate, key, end of validity) for `request`, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, request.user)]
    if request.group:
        names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, request.group))
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if request.client else []
    if request.hosts:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    now = datetime.now(UTC)
    builder = (
        _builder(key.public_key(), x509.Name(names), signer.certificate.subject, now, _CERTIFICATE_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
    )
    if request.hosts:
        alternatives = x509.SubjectAlternativeName([_general_name(host) for host in request.hosts])
        builder = builder.add_extension(alternatives, critical=False)
    signed = builder.sign(signer.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM), _pem(key), now + _CERTIFICATE_LIFE


def _self_signed(key: ec.EllipticCurvePrivateKey, common_name: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return (
        _builder(key.public_key(), name, name, datetime.now(UTC), _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    key: ec.EllipticCurvePublicKey, subject: x509.Name, issuer: x509.Name, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
