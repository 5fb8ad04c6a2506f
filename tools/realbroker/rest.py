"""Pulsar's admin REST interface, as far as tests and benches need it: one request, one answer."""

import dataclasses
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request

_MOST_REDIRECTS = 5


class RestError(RuntimeError):
    """The broker answered a REST request with a status that the caller did not expect."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """A REST answer. request: method and path, for messages; status: HTTP status; text: the body as text."""

    request: str
    status: int
    text: str

    def json(self) -> object:
        """Return the body decoded from JSON; raises ValueError when it is none."""
        return json.loads(self.text)

    def expect(self, *statuses: int) -> "Answer":
        """Return this answer if its status is one of `statuses`; else raise RestError with its text."""
        if self.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            raise RestError(f"{self.request} answered {self.status}, not {wanted}: {self.text.strip()[:500]}")
        return self


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to `RestClient`: urllib follows none for PUT, and turns POST into GET."""

    def redirect_request(self, *_arguments: object, **_keywords: object) -> None:
        return None


class RestClient:
    """Speaks to the web port of one broker.

    base: "http://HOST:PORT".
    token: JSON Web Token of a superuser, None where the broker wants none.
    """

    def __init__(self, base: str, token: str | None = None) -> None:
        self.base = base
        self._token = token
        # No proxy: the broker is on this machine, whatever the environment says about the way out.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def request(self, method: str, path: str, body: object = None, seconds: float = 20.0) -> Answer:
        """Send one request and return its answer, of whatever status.

        path: from the slash on ("/admin/v2/clusters"). body: sent as JSON unless None. A 307, by which a
        broker names the topic's owner or the leader, is followed with the same method and body. Raises
        OSError when the broker cannot be reached, or does not answer within `seconds`, and RestError when it
        redirects in a circle.
        """
        url = self.base + path
        for _ in range(_MOST_REDIRECTS):
            status, text, location = self._send(method, url, body, seconds)
            if status != http.client.TEMPORARY_REDIRECT or location is None:
                return Answer(f"{method} {path}", status, text)
            url = urllib.parse.urljoin(url, location)
        raise RestError(f"{method} {path} was redirected {_MOST_REDIRECTS} times, last to {url}")

    def _send(self, method: str, url: str, body: object, seconds: float) -> tuple[int, str, str | None]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=seconds) as response:
                return response.status, response.read().decode(), None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace"), error.headers.get("Location")
        except http.client.HTTPException as error:
            # A broker that is going down closes connections in the middle of an answer.
            raise ConnectionError(f"{method} {url}: broken answer ({error!r})") from error
