"""On the emulated board: its network, which is PPP over UART0."""
import machine
import network
import time

_BAUD = 1000000
_BUFFER = 4096
_SECONDS = 20


def connect():
    """Bring PPP up; the network.PPP. OSError where the other end does not answer."""
    uart = machine.UART(0, _BAUD, rxbuf=_BUFFER, txbuf=_BUFFER, timeout=0)
    ppp = network.PPP(uart)
    # From here on the UART's interrupt hands over what comes in; calling poll() besides would take it out of order.
    ppp.connect()
    started = time.ticks_ms()
    while not ppp.isconnected():
        if time.ticks_diff(time.ticks_ms(), started) > _SECONDS * 1000:
            raise OSError("PPP did not come up within %d s" % _SECONDS)
        time.sleep_ms(5)
    return ppp


def set_clock():
    """What `ntptime.settime()` does on a real board; the chip's own clock begins in 2021."""
    machine.RTC().datetime((2030, 1, 1, 1, 0, 0, 0, 0))
