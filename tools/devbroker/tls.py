"""TLS for the development broker: certificates made on the spot by trustme, an authority of their own.

    tls = DevTls()                              # for 127.0.0.1, localhost and ::1
    async with DevBroker(tls=tls) as broker:    # also listens on broker.tls_url
        tls.write_authority(path)               # what clients have to trust, PEM

`DevTls("other.example")` makes a certificate for another name, to see a client's check of it fail.
"""

import ssl
from pathlib import Path

import trustme

LOCAL_IDENTITIES = ("127.0.0.1", "localhost", "::1")


class DevTls:
    """An authority, and a server's certificate from it. Keys are EC P-256, or RSA 2048 where `rsa` is set."""

    def __init__(self, *identities: str, rsa: bool = False) -> None:
        kind = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
        self._authority = trustme.CA(key_type=kind)
        self._certificate = self._authority.issue_cert(*(identities or LOCAL_IDENTITIES), key_type=kind)

    @property
    def authority_pem(self) -> bytes:
        """The authority's certificate, PEM."""
        return self._authority.cert_pem.bytes()

    def write_authority(self, path: Path) -> None:
        """Write the authority's certificate to a file, PEM."""
        path.write_bytes(self.authority_pem)

    def server_context(self) -> ssl.SSLContext:
        """The context of a listener: TLS 1.2 and 1.3, no certificate asked of clients."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._certificate.configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A client's context that trusts this authority alone and checks the name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        return context
