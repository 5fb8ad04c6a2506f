"""A reader: receives the sensor's readings and acknowledges them. Runs unchanged on MicroPython and on CPython.

    python reader.py SERVICE_URL TOKEN TOPIC READINGS
"""
import asyncio
import json
import sys

from mpy_pulsar import AuthenticationToken, Client, InitialPosition


async def read(service_url, token, topic, readings):
    """Receive `readings` readings; exit status 1 where one is missing, doubled or out of order."""
    expected = 0
    async with Client(service_url, authentication=AuthenticationToken(token)) as client:
        async with await client.subscribe(topic, "demo", initial_position=InitialPosition.Earliest) as consumer:
            async for message in consumer:
                values = json.loads(message.data())
                await consumer.acknowledge(message)
                if values["number"] != expected:
                    print(f"reading {values['number']} where {expected} should be")
                    sys.exit(1)
                if message.batch_place() in ("first", "single"):
                    print(f"{message.message_id()}  {message.data().decode()}")
                expected += 1
                if expected == readings:
                    break
    print(f"read {expected} readings back: none missing, none twice, in order")


asyncio.run(read(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
