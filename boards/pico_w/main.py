"""Sends the Pico W's own temperature to Pulsar, ten readings in one entry. Copy config.example.json to config.json."""
import asyncio
import json
import time

# The send buffer is made before the imports: small heaps break up, and it needs 4 KB in one piece.
send_buffer = bytearray(4096)

import network  # noqa: E402
from machine import ADC, Pin  # noqa: E402

from mpy_pulsar import AuthenticationToken, Client, Timeout  # noqa: E402

READINGS_IN_A_BATCH = 10
WIFI_TIMEOUT_S = 30


def connect_wifi(ssid, password):
    """Join the Wi-Fi; OSError after half a minute without one."""
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    wlan.config(pm=0xA11140)  # no power saving: it delays every answer
    wlan.connect(ssid, password)
    started = time.ticks_ms()
    while not wlan.isconnected():
        if time.ticks_diff(time.ticks_ms(), started) > WIFI_TIMEOUT_S * 1000:
            raise OSError(f"no Wi-Fi {ssid} within {WIFI_TIMEOUT_S} s: check ssid and password in config.json")
        time.sleep_ms(100)


def set_clock():
    """Set the clock by NTP; without it messages carry a time of 2021, and a topic's time to live may drop them."""
    import ntptime

    for _ in range(5):
        try:
            ntptime.settime()
            return
        except OSError:
            time.sleep(2)
    print("the clock could not be set by NTP")


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
        producer = None
        while producer is None:
            try:
                producer = await client.create_producer(
                    config["topic"], send_buffer_size=send_buffer, batching_max_messages=READINGS_IN_A_BATCH,
                    batching_max_publish_delay_ms=READINGS_IN_A_BATCH * config["interval_ms"] + 1000,
                )
            except Timeout as error:
                print("no broker yet:", error)
        print("connected as", producer.producer_name())
        while True:
            reading = f"{celsius(sensor):.2f}".encode()
            await producer.room(len(reading))
            producer.send_nowait(reading)
            led.toggle()
            await asyncio.sleep_ms(config["interval_ms"])


with open("config.json") as file:
    settings = json.load(file)
connect_wifi(settings["ssid"], settings["password"])
set_clock()
asyncio.run(publish(settings))
