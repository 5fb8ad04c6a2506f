"""batch_index_ack_enabled: messages of a batch are acknowledged one by one, in the broker's eyes too."""
from ..wire.writer import message as encode
from .ack_set import words_of


def partial_id(message_id, done):
    """The id of an entry with the messages of `done` acknowledged."""
    return message_id + encode(5, words_of(done), 6, len(done))


def encode_acks(acks):
    """The ids of one group: entries acknowledged in part stand there as themselves, once for each of their messages."""
    ids = []
    seen = []
    for one in acks:
        if isinstance(one, bytes):
            ids.append(one)
        elif not all(one.done) and not any(done is one.done for done in seen):
            seen.append(one.done)
            ids.append(partial_id(one.message_id, one.done))
    return ids
