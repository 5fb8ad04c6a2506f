# A plain Pico whose network is a serial line. TLS comes with lwIP.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_PY_LWIP ON)
