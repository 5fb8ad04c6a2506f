"""HS256 tokens (JWT) for Pulsar's token authentication: minted for tests, verified by the development broker."""

import time
from typing import Any

import jwt

ALGORITHM = "HS256"
KEY_BYTES = 32


class InvalidToken(ValueError):
    """A token that is malformed, signed with another key, expired, not valid yet, or without a subject."""


def mint(subject: str | None, key: bytes, lifetime_seconds: float | None = None, **claims: Any) -> str:
    """A signed token for the role `subject`.

    `key` is the raw secret, 32 bytes or more. With `lifetime_seconds` the token expires that long from now; a negative
    value makes one that has expired already. Further `claims` (such as `nbf`, `aud`) go in as they are. A `subject` of
    None leaves the claim `sub` out, which brokers refuse. Raises ValueError when the key is too short.
    """
    if len(key) < KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes, {ALGORITHM} needs at least {KEY_BYTES}")
    content: dict[str, Any] = dict(claims)
    if subject is not None:
        content["sub"] = subject
    if lifetime_seconds is not None:
        content["exp"] = int(time.time() + lifetime_seconds)
    return jwt.encode(content, key, algorithm=ALGORITHM)


def verify(token: str | bytes, key: bytes) -> dict[str, Any]:
    """The claims of a good token. Raises InvalidToken, which says what is wrong but never holds the token itself."""
    try:
        claims = jwt.decode(
            token, key, algorithms=[ALGORITHM], options={"require": ["sub"], "verify_aud": False}
        )
    except (jwt.InvalidTokenError, ValueError) as error:
        raise InvalidToken(f"token refused: {type(error).__name__}") from None
    if not claims["sub"]:
        raise InvalidToken("token refused: empty subject")
    return claims
