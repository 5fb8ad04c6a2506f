"""AUTH_CHALLENGE: what becomes of a link whose token expires.

A timer runs on every link from CONNECT on. A tick after the token's expiry challenges the client for a fresh one; who
has not answered by the next tick, cannot be challenged, or comes with another role loses the link without a word.
Between expiry and tick all goes on.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from tools import tokens
from tools.devbroker.frames import NO_ID, BaseCommand, ServerError, api

if TYPE_CHECKING:
    from tools.devbroker.session import Session

log = logging.getLogger(__name__)

REFRESH = b"PulsarAuthRefresh"
"""The challenge's data: fetch the credentials anew."""


def check_token(method: str, data: bytes, key: bytes) -> dict[str, Any]:
    """The claims of a good token. Raises InvalidToken."""
    if method != "token":
        raise tokens.InvalidToken(f"authentication method {method!r}, not 'token'")
    return tokens.verify(data, key)


class TokenRefresh:
    """The timer of one link, `seconds` between ticks."""

    def __init__(self, session: "Session", claims: dict[str, Any], can_refresh: bool, seconds: float) -> None:
        self._session = session
        self._role = claims["sub"]
        self._expires: float | None = claims.get("exp")
        self._can_refresh = can_refresh
        self._seconds = seconds
        self._challenged = False
        self._schedule()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def stop(self) -> None:
        """The link is gone."""
        self._timer.cancel()

    def _tick(self) -> None:
        if self._challenged:
            self._session.close("no answer to AUTH_CHALLENGE")
            return
        if self._expires is not None and time.time() >= self._expires:
            if not self._can_refresh:
                self._session.close("the token has expired, and the client cannot refresh it")
                return
            self._challenged = True
            self._session.send(
                BaseCommand.AUTH_CHALLENGE,
                challenge=api.AuthData(auth_method_name="token", auth_data=REFRESH),
                protocol_version=self._session.protocol_version,
            )
        self._schedule()

    def answered(self, response: Any, key: bytes) -> None:
        """AUTH_RESPONSE came; one that nobody asked for is ignored."""
        if not self._challenged:
            return
        try:
            claims = check_token(response.auth_method_name, response.auth_data, key)
        except tokens.InvalidToken as error:
            self._session.send_error(NO_ID, ServerError.AuthenticationError, "Failed to authenticate")
            self._session.close(str(error))
            return
        if claims["sub"] != self._role:
            self._session.close("the fresh token is of another role")
            return
        self._challenged = False
        self._expires = claims.get("exp")
        log.info("%s: fresh token", self._session.peer)
