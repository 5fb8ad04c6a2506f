"""TLS of `net.stream` on MicroPython; loaded by the first pulsar+ssl:// service URL."""
from binascii import a2b_base64

import tls

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def context(trust, validate_hostname, insecure):
    """An SSLContext. trust: path of a PEM or DER file, or its bytes. insecure: take any certificate.

    Boards have no store of authorities, and check the name together with the certificate or not at all: ValueError
    where the arguments ask for something else, or the file cannot be read.
    """
    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    if insecure:
        made.verify_mode = tls.CERT_NONE  # pyright: ignore[reportAttributeAccessIssue]
        return made
    if trust is None:
        raise ValueError("pulsar+ssl:// needs tls_trust_certs_file_path: a board has no store of authorities")
    if not validate_hostname:
        raise ValueError("tls_validate_hostname=False: not on MicroPython, which checks name and certificate together")
    made.verify_mode = tls.CERT_REQUIRED  # pyright: ignore[reportAttributeAccessIssue]
    try:
        if isinstance(trust, str):
            with open(trust, "rb") as file:
                trust = file.read()
        for certificate in _certificates(trust):
            made.load_verify_locations(certificate)
    except (OSError, ValueError) as error:
        raise ValueError("tls_trust_certs_file_path: no certificate can be read from it: %s" % error)
    return made


def _certificates(trust):
    """The certificates of a PEM file in DER, which every build of mbedTLS reads; of anything else itself."""
    return [a2b_base64(part.split(b"-----END")[0]) for part in bytes(trust).split(_BEGIN)[1:]] or [trust]
