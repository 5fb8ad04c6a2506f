// A Pico with PPP on UART0. lwIP's memory is left as the port has it (MEM_SIZE of 8,000 bytes), as in the firmware that
// users have.
#define MICROPY_HW_BOARD_NAME "Emulated Pico with PPP"
#define MICROPY_HW_FLASH_STORAGE_BYTES (1024 * 1024)
#define MICROPY_PY_NETWORK (1)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "emulated"
#define MICROPY_PY_NETWORK_PPP_LWIP (1)
