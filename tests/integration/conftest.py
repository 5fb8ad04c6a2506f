"""The real broker that the integration tests share: started once a session, by the first test that asks."""

import collections.abc
import secrets
import shutil

import pytest

from tests.conftest import missing
from tools.realbroker import jars
from tools.realbroker.standalone import SHORTEST_TOKEN_KEY, Standalone


# Without the jars the first test waits for Maven, which on a slow line takes longer than any test may.
_FETCH_SECONDS = 1300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the real broker, and give them time where its jars are still to be fetched."""
    fetched = jars.is_complete(jars.jars_folder())
    for item in items:
        if "real_broker_jars" in getattr(item, "fixturenames", ()):
            item.add_marker("real")
            if not fetched:
                item.add_marker(pytest.mark.timeout(_FETCH_SECONDS))


@pytest.fixture(scope="session")
def real_broker_jars() -> None:
    """Skip the test where the real broker cannot run: without Java, or without its jars and a way to them."""
    reason = None
    try:
        jars.find_java()
        jars.fetch()
    except (jars.MissingTool, jars.FetchError) as error:
        reason = str(error)
    if reason is not None:
        missing(reason)


@pytest.fixture(scope="session")
def real_broker(
    real_broker_jars: None, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[Standalone]:
    """A real Pulsar standalone that wants tokens: `.url`, `.token(role)`, `.grant(role)`, `.rest(...)`.

    One for the whole session, so a test uses topics of its own, and must neither stop nor restart it.
    """
    directory = tmp_path_factory.mktemp("real_broker")
    with Standalone(directory, token_key=secrets.token_bytes(SHORTEST_TOKEN_KEY)) as broker:
        yield broker
    # pytest keeps the folders of three sessions: the log is worth it, tens of megabytes of ledgers are not.
    shutil.rmtree(directory / "data", ignore_errors=True)
