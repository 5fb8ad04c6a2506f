"""Who we are, for the broker: each class has credentials(), which gives the auth method's name and its data."""


class NoAuthentication:
    """For brokers that ask nobody."""

    secret = False  # is there anything to hide?

    def credentials(self):
        """("none", None)."""
        return "none", None


class AuthenticationToken:
    """A JSON web token or any other bearer token: "…", "token:…", bytes, or a callable that returns one of these.

    A callable is asked again for each connection and whenever the broker wants a fresh token.
    """

    secret = True

    def __init__(self, token):
        if not token:
            raise ValueError("the token is empty")
        self._token = token

    def credentials(self):
        """("token", the token's bytes)."""
        token = self._token
        text = token() if callable(token) else token
        data = text.encode() if isinstance(text, str) else bytes(text)  # pyright: ignore[reportArgumentType]
        if data[:6] == b"token:":
            data = data[6:]
        return "token", data.strip()
