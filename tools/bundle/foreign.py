"""Names that are not ours to change: those of objects that are not ours, and those that firmware holds in ROM."""
from __future__ import annotations

from types import GeneratorType

# The names that mpy-cross writes as numbers, since every firmware that loads version 6 of .mpy files has them at the
# same places: neither heap nor, but for a byte or two, room in the file. Only those that are identifiers, no built-in
# exceptions and no special methods.
ROM_NAMES = tuple("""
    abs all any append args bool builtins bytearray bytecode bytes callable chr classmethod clear close const copy
    count dict dir divmod end endswith eval exec extend find format from_bytes get getattr globals hasattr hash id
    index insert int intersection isalpha isdigit isinstance islower isspace issubclass isupper items iter join key
    keys len list little locals lower lstrip main map micropython next object open ord pop popitem pow print range
    read readinto readline remove replace repr reverse rfind rindex round rsplit rstrip self send sep set setattr
    setdefault sort sorted split start startswith staticmethod step stop str strip sum super throw to_bytes tuple
    type update upper value values write zip
""".split())

# Names that modules of every port have: in ROM as well, though written out in the .mpy file. Short ones only.
MORE_ROM_NAMES = tuple("""
    e pi sin cos tan exp log path argv exit sqrt pack dump load sub poll acos asin atan ceil fabs fmod tell seek loads
    dumps match floor trunc group schedule search unpack mem_free modules version disable enable platform sleep_us
    calcsize stdin stdout register unregister
""".split())

# Attributes of objects of other packages that the sources use or may use. Names of ours that are equal stay as they
# are; a test compares this list with the type stubs.
_OTHERS = """
    CERT_NONE CERT_REQUIRED Event Lock PROTOCOL_TLS_CLIENT SOCK_STREAM SSLContext TimeoutError ThreadSafeFlag
    accept access add bind cancel cert_store clear close connect core create_task current_task digest done end errno
    feed fileno flush full gather get_event_loop getaddrinfo getpeername getrandbits gmtime hexdigest implementation
    ioctl is_set isconnected listen load_cert_chain load_verify_locations localtime makefile mem_alloc mem_free modify
    name
    native partial platform poll ptr8 ptr16 queue_read queue_write read readinto recv recvfrom register run send sendto
    server_hostname set set_ciphers setblocking setsockopt settimeout sleep sleep_ms socket state throw ticks_add
    ticks_diff ticks_ms time total_seconds uint unregister urandom value verify_mode viper wait wait_closed wait_for
    wait_for_ms warning wrap_socket write _io_queue _task_queue map peek
"""
_BUILT_IN = (str, bytes, bytearray, list, dict, tuple, set, frozenset, memoryview, int, float, OSError, StopIteration,
             GeneratorType, property, range, slice)

FOREIGN = frozenset(_OTHERS.split()) | {
    name for kind in _BUILT_IN for name in dir(kind) if not name.startswith("__")}

# What a class inherits from a built-in one (an exception, say) is not to be hidden by a name of ours.
INHERITED = frozenset({"args", "errno", "value"})
