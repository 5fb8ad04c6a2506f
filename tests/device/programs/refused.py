"""On the emulated board: a producer where nobody listens. OPTIONS: url."""
import asyncio

import emulated_network


class Log:
    def warning(self, text):
        print("warning:", text)


async def main():
    from mpy_pulsar import Client, Timeout

    async with Client(OPTIONS["url"], operation_timeout_seconds=2, logger=Log()) as client:
        try:
            await client.create_producer("board")
        except Timeout as error:
            print("Timeout:", error)


emulated_network.connect()
asyncio.run(main())
