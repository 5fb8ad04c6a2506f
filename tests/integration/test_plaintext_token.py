"""A token does not follow a look-up's answer to another machine over a link that is not encrypted."""

import asyncio

import pytest

from mpy_pulsar import AuthenticationToken, Client, Timeout
from tools.devbroker import DevBroker
from tools.tokens import KEY_BYTES, mint

KEY = bytes(range(KEY_BYTES))
ELSEWHERE = "pulsar://192.0.2.1:6650"  # an address for documentation, which nobody has


class Log:
    """Keeps what it is told, and says when."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.told = asyncio.Event()

    def warning(self, text: str) -> None:
        self.lines.append(text)
        self.told.set()


async def refused() -> tuple[list[str], str]:
    """What the log and the error say of a look-up that names another machine."""
    async with DevBroker(port=0, token_key=KEY, advertised_url=ELSEWHERE, proxy_through_service_url=False) as broker:
        token = AuthenticationToken(mint("app", KEY))
        log = Log()
        async with Client(broker.url, authentication=token, operation_timeout_seconds=1, logger=log) as client:
            with pytest.raises(Timeout) as error:
                await client.create_producer("t")
        await log.told.wait()
        return log.lines, str(error.value)


def test_a_token_does_not_follow_a_look_up_to_another_machine() -> None:
    lines, error = asyncio.run(refused())
    assert all("the token would go to 192.0.2.1 in the clear" in line for line in lines) and lines
    assert "allow_plaintext_token" in error
