"""Sends the Pico W's temperature to Pulsar, about ten readings in one entry. Copy config.example.json to config.json.

It measures from the first second on, whether there is a Wi-Fi, a broker and the right time or not: readings wait in the
send buffer, and leave in order once all three are there.
"""
import asyncio
import json
import time

# The send buffer is made before the imports: small heaps break up, and it needs 4 KB in one piece.
send_buffer = bytearray(4096)

import network  # noqa: E402
import ntptime  # noqa: E402
from machine import ADC, Pin  # noqa: E402

from mpy_pulsar import AuthenticationToken, Client  # noqa: E402

READINGS_IN_A_BATCH = 10
WIFI_TIMEOUT_S = 30
LOOK_S = 5
YEAR_OF_A_CLOCK_THAT_IS_SET = 2026


async def keep_wifi(wlan, ssid, password):
    """Join the Wi-Fi, and again whenever it is gone."""
    wlan.active(True)
    wlan.config(pm=0xA11140)  # no power saving: it delays every answer
    while True:
        if not wlan.isconnected():
            wlan.connect(ssid, password)
            started = time.ticks_ms()
            while not wlan.isconnected():
                if time.ticks_diff(time.ticks_ms(), started) > WIFI_TIMEOUT_S * 1000:
                    print(f"no Wi-Fi {ssid} within {WIFI_TIMEOUT_S} s: check ssid and password in config.json")
                    break
                await asyncio.sleep_ms(100)
        await asyncio.sleep(LOOK_S)


async def set_clock(wlan):
    """Set the clock by NTP once there is a Wi-Fi; the client sends nothing before."""
    while time.gmtime()[0] < YEAR_OF_A_CLOCK_THAT_IS_SET:
        if wlan.isconnected():
            try:
                ntptime.settime()  # blocks for a second where nobody answers
            except OSError as error:
                print("the clock could not be set by NTP:", error)
        await asyncio.sleep(LOOK_S)


def celsius(sensor):
    """The chip's temperature, roughly."""
    return 27 - (sensor.read_u16() * 3.3 / 65535 - 0.706) / 0.001721


class Log:
    """Errors that belong to no call: a lost link, say, which is made again by itself."""

    def warning(self, text):
        print("pulsar:", text)


async def publish(config):
    """Measure and send for ever."""
    sensor = ADC(4)
    led = Pin("LED", Pin.OUT)
    token = config.get("token")
    # The token travels in the clear, which the client refuses unless it is told that the network is trusted.
    client = Client(
        config["service_url"], authentication=AuthenticationToken(token) if token else None, logger=Log(),
        allow_plaintext_token=config["trusted_network"],
    )
    async with client:
        producer = await client.create_producer(
            config["topic"], wait=False, send_buffer_size=send_buffer,
            batching_max_publish_delay_ms=READINGS_IN_A_BATCH * config["interval_ms"],
        )
        print("measuring as", producer.producer_name())
        while True:
            reading = f"{celsius(sensor):.2f}".encode()
            await producer.room(len(reading))
            producer.send_nowait(reading)
            led.toggle()
            await asyncio.sleep_ms(config["interval_ms"])


async def main(config):
    """All that goes on side by side."""
    wlan = network.WLAN(network.STA_IF)
    await asyncio.gather(keep_wifi(wlan, config["ssid"], config["password"]), set_clock(wlan), publish(config))


with open("config.json") as file:
    settings = json.load(file)
asyncio.run(main(settings))
