"""A sensor: publishes readings of this machine in batches. Runs unchanged on MicroPython and on CPython.

    micropython sensor.py SERVICE_URL TOKEN TOPIC BATCHES
"""
import asyncio
import json
import sys
import time

from mpy_pulsar import AuthenticationToken, Client

READINGS_IN_A_BATCH = 10
SECONDS_BETWEEN_READINGS = 0.05


def first_line(path):
    """The first line of a file, "" where there is none: other systems than Linux have fewer readings to give."""
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return ""


def available_memory_kb():
    """Memory that programs could still use, in KB; None where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def reading(number):
    """One reading as bytes of JSON: its number, the time, and what this machine lets us know."""
    values = {"number": number, "time": int(time.time())}
    load = first_line("/proc/loadavg")
    if load:
        values["load"] = float(load.split()[0])
    memory = available_memory_kb()
    if memory is not None:
        values["memory_kb"] = memory
    temperature = first_line("/sys/class/thermal/thermal_zone0/temp")
    if temperature:
        values["celsius"] = int(temperature) / 1000
    return json.dumps(values).encode()


async def publish(service_url, token, topic, batches):
    """Send `batches` batches of readings, each of which the broker stores as one entry."""
    async with Client(service_url, authentication=AuthenticationToken(token)) as client:
        async with await client.create_producer(topic) as producer:
            print(f"connected, the broker calls us {producer.producer_name()}")
            number = 0
            for _ in range(batches):
                readings = []
                while len(readings) < READINGS_IN_A_BATCH:
                    readings.append(reading(number))
                    number += 1
                    await asyncio.sleep(SECONDS_BETWEEN_READINGS)
                ids = await producer.send_batch(readings)
                print(f"{len(ids)} readings acknowledged in one entry, {ids[0]} to {ids[-1]}")
    print(f"sent {number} readings, every one acknowledged")


asyncio.run(publish(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
