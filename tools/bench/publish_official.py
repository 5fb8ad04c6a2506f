"""One round of the benchmark, by pulsar-client; see publish.py, whose lines it reads and writes.

It sends as its users do who want throughput: send_async, batching on, and room for many messages on their way. The rest
is as it comes.
"""
from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import pulsar

_PENDING = 50_000
_SECONDS_MOST = 120


class Receipts:
    """Counts what the broker acknowledged."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.refusal: Any = None
        self._changed = threading.Condition()
        self._wanted = 0

    def take(self, result: Any, message_id: Any) -> None:
        """One message's outcome, called by the client's own thread."""
        if result != pulsar.Result.Ok:
            self.refusal = result
        self.acknowledged += 1
        if self.acknowledged == self._wanted:
            with self._changed:
                self._changed.notify()

    def wait(self, count: int) -> None:
        """Until so many have come; TimeoutError where they do not, RuntimeError where one is no receipt."""
        with self._changed:
            self._wanted = count
            if not self._changed.wait_for(lambda: self.acknowledged >= count, _SECONDS_MOST):
                raise TimeoutError(f"{self.acknowledged} of {count} messages acknowledged")
        if self.refusal is not None:
            raise RuntimeError(f"a message was not stored: {self.refusal}")


def main(options: dict[str, Any]) -> dict[str, Any]:
    """The record of a round."""
    messages, payload = options["messages"], b"x" * options["payload_bytes"]
    client = pulsar.Client(options["url"], logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    try:
        producer = client.create_producer(
            options["topic"], batching_enabled=True, max_pending_messages=_PENDING, block_if_queue_full=True
        )
        receipts = Receipts()
        blocks, passed = -1, 0.0
        while blocks < 1 or passed < options["seconds"]:
            started = time.perf_counter()
            send, take = producer.send_async, receipts.take
            for _ in range(messages):
                send(payload, take)
            producer.flush()
            receipts.wait((blocks + 2) * messages)
            if blocks >= 0:
                passed += time.perf_counter() - started
            blocks += 1
    finally:
        client.close()
    return {
        "acknowledged": receipts.acknowledged, "entries": None, "messages": blocks * messages, "seconds": passed,
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.stdin.readline()))))
