"""TLS of `mpy_pulsar.net.stream` on CPython: the ssl module on non-blocking sockets."""
import asyncio
import ssl

from .stream import Stream, readable, writable


def context(trust, validate_hostname, insecure):
    """An SSLContext. trust: path of a PEM file or the bytes of one (PEM or DER), None: the system's store.

    validate_hostname: does the certificate have to name the host? insecure: take any certificate. ValueError: that
    file cannot be read, or holds no certificate.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made
    made.verify_mode = ssl.CERT_REQUIRED
    made.check_hostname = bool(validate_hostname)
    if trust is None:
        made.load_default_certs()
        return made
    try:
        if isinstance(trust, str):
            with open(trust, "rb") as file:
                trust = file.read()
        made.load_verify_locations(cadata=trust.decode() if b"-----BEGIN" in trust else trust)
    except (OSError, ValueError) as error:
        raise ValueError("tls_trust_certs_file_path: no certificates can be read from it: %s" % error) from error
    return made


class TlsStream(Stream):
    """A TLS socket after its handshake, with the methods of MicroPython's streams."""

    def readinto(self, buffer):
        """Bytes received into the buffer, 0 at the end, None for "not now"."""
        try:
            return self._sock.recv_into(buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def write(self, buffer, offset, size):
        """Bytes taken of buffer[offset:offset + size], None for "not now": then the very same are to be given again."""
        try:
            with memoryview(buffer) as view:
                return self._sock.send(view[offset:offset + size])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None


async def secure(sock, made, host):
    """A TlsStream over a connected socket, once the handshake has succeeded; OSError says why it did not."""
    loop = asyncio.get_running_loop()
    wrapped = made.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    stream = TlsStream(wrapped, loop)
    try:
        while True:
            try:
                wrapped.do_handshake()
                return stream
            except ssl.SSLWantReadError:
                await readable(stream)
            except ssl.SSLWantWriteError:
                await writable(stream)
    except ssl.SSLCertVerificationError as error:
        stream.close()
        raise OSError(
            "the certificate of %s is refused: %s; see tls_trust_certs_file_path" % (host, error.verify_message)
        ) from error
    except ssl.SSLEOFError as error:
        stream.close()
        raise OSError(
            "%s closed the link in the handshake; if this is a plaintext port, use pulsar://" % host
        ) from error
    except BaseException:
        stream.close()
        raise
