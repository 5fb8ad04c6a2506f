"""CONNECT with its token check, and the commands that keep a link alive."""

import logging
from typing import TYPE_CHECKING, Any

from tools import tokens
from tools.devbroker.frames import NO_ID, BaseCommand, ProtocolViolation, ServerError, api
from tools.devbroker.token_refresh import TokenRefresh, check_token

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
            claims = check_token(message.auth_method_name, message.auth_data, key)
        except tokens.InvalidToken as error:
            # The client never learns why; the log does.
            session.send_error(NO_ID, ServerError.AuthenticationError, "Failed to authenticate")
            session.close(str(error))
            return
        session.role = claims["sub"]
        seconds = session.broker.authentication_refresh_seconds
        if seconds is not None:
            can_refresh = message.feature_flags.supports_auth_refresh
            session.refresh = TokenRefresh(session, claims, can_refresh, seconds)
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


def ping(session: "Session", _message: Any, _payload: bytes) -> None:
    """PING is answered at once."""
    session.send(BaseCommand.PONG)


def ignore(_session: "Session", _message: Any, _payload: bytes) -> None:
    """PONG: having come is all it does."""


def authentication_response(session: "Session", message: Any, _payload: bytes) -> None:
    """AUTH_RESPONSE: a fresh token, if one was asked for."""
    key = session.broker.token_key
    if session.refresh is not None and key is not None:
        session.refresh.answered(message.response, key)


HANDLERS = {
    BaseCommand.CONNECT: connect,
    BaseCommand.PING: ping,
    BaseCommand.PONG: ignore,
    BaseCommand.AUTH_RESPONSE: authentication_response,
}
