"""What to do about an error, by its code; loaded when somebody asks."""

_TEMPORARY = "nothing: it is tried again by itself; if it lasts, look into the broker's log"
_CREDENTIALS = "check the token or key, its expiry, and the broker's clock and keys; it is fetched anew for each try"
_PERMISSION = "grant this role what it lacks: produce or consume on the namespace or the topic"
_QUOTA = "let consumers catch up or acknowledge, or raise the namespace's backlog quota"
_NAME = "check the spelling; create the topic, namespace or subscription, or let the broker create them"
_TRANSACTION = "this client uses no transactions: look into the broker's log"
_NOT_ALLOWED = "look at the policies of topic and namespace: partitions, message size, delay, limits of connections"

# By ServerError number, from 0.
_OF_BROKERS = (
    _TEMPORARY,
    "where it says that encryption is required, no producer of this client may send there; else the broker's metadata"
    " store is in trouble: look into its log",
    "nothing: the message is sent again by itself; if it lasts, the storage (bookies) is full or down",
    _CREDENTIALS,
    _PERMISSION,
    "another consumer holds the subscription: close it, use another name, or a type that shares",
    "nothing: the topic moves or the broker starts, and it is tried again by itself",
    _QUOTA,
    _QUOTA,
    "the message was damaged on its way: check memory and network, if it happens again",
    "this broker is too old for what was asked: update it",
    _NAME,
    _NAME,
    _TEMPORARY,
    "make fewer requests at a time, or raise the broker's limits of lookups",
    "the topic takes no more messages: use another one",
    "the name is in use by another producer, or the topic has all that it may: close the other one, or use another"
    " name; a device that was just restarted gets its name back within a minute",
    "check the topic's name: letters, digits and - = : . % in three parts",
    "what this producer or consumer says of its schema does not suit that of the topic",
    "the keys' ranges overlap with those of another consumer: change them",
    _TRANSACTION,
    _TRANSACTION,
    _NOT_ALLOWED,
    _TRANSACTION,
    _TRANSACTION,
    "another producer has taken the topic for itself: make a new producer once it should have it back",
)
# The same for ours, from -1 down.
_OF_OURS = (
    "read what it says",
    "check that the broker is up and the network carries; a message that was sent may have arrived",
    "wait with `await producer.room(size)`, send less, or give the producer a larger send_buffer_size",
    "split the message, or raise send_buffer_size or the broker's maxMessageSize",
    "make a new client, producer or consumer",
    "check network, host name and port, and that the broker is up; it is tried again by itself",
    "check that the port is a Pulsar broker's binary port (6650, 6651), and that nothing on the way changes bytes",
    "nothing: it is in order again",
)


def advice(code):
    """A sentence for a code of `PulsarError`, str."""
    if 0 <= code < len(_OF_BROKERS):
        return _OF_BROKERS[code]
    if -len(_OF_OURS) <= code < 0:
        return _OF_OURS[-1 - code]
    return "look the number up in the broker's documentation, and look into its log"
