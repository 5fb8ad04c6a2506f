"""CONNECT with its token check, and the commands that keep a link alive."""

import logging
from typing import TYPE_CHECKING, Any

from tools import tokens
from tools.devbroker.frames import NO_ID, BaseCommand, ProtocolViolation, ServerError, api

if TYPE_CHECKING:
    from tools.devbroker.session import Session

log = logging.getLogger(__name__)

NEWEST_PROTOCOL_VERSION = 21
SERVER_VERSION = "mpy_pulsar development broker"


def connect(session: "Session", message: Any, _payload: bytes) -> None:
    """CONNECT: CONNECTED, or ERROR and the end of the link."""
    if session.connected:
        raise ProtocolViolation("CONNECT on a link that is connected already")
    key = session.broker.token_key
    if key is not None:
        try:
            session.role = _check_token(message, key)
        except tokens.InvalidToken as error:
            # The client never learns why; the log does.
            session.send_error(NO_ID, ServerError.AuthenticationError, "Failed to authenticate")
            session.close(str(error))
            return
    session.connected = True
    session.protocol_version = min(message.protocol_version, NEWEST_PROTOCOL_VERSION)
    log.info("%s: connected, %s, role %s", session.peer, message.client_version, session.role)
    session.send(
        BaseCommand.CONNECTED,
        server_version=SERVER_VERSION,
        protocol_version=session.protocol_version,
        max_message_size=session.broker.max_message_size,
        feature_flags=api.FeatureFlags(supports_get_partitioned_metadata_without_auto_creation=True),
    )


def _check_token(message: Any, key: bytes) -> str:
    """The role of a good token. Raises InvalidToken."""
    if message.auth_method_name != "token":
        raise tokens.InvalidToken(f"authentication method {message.auth_method_name!r}, not 'token'")
    return tokens.verify(message.auth_data, key)["sub"]


def ping(session: "Session", _message: Any, _payload: bytes) -> None:
    """PING is answered at once."""
    session.send(BaseCommand.PONG)


def ignore(_session: "Session", _message: Any, _payload: bytes) -> None:
    """PONG: having come is all it does. AUTH_RESPONSE that nobody asked for."""


HANDLERS = {
    BaseCommand.CONNECT: connect,
    BaseCommand.PING: ping,
    BaseCommand.PONG: ignore,
    BaseCommand.AUTH_RESPONSE: ignore,
}
