"""Options of pulsar-client that are not built here; loaded only where a call names an option that nobody took."""

# By method: what pulsar.asyncio of pulsar-client 3.13 takes besides.
_KNOWN = {
    "Client": (
        "io_threads", "message_listener_threads", "concurrent_lookup_requests", "log_conf_file_path", "use_tls",
        "stats_interval_in_seconds", "connection_timeout_ms", "tls_private_key_file_path",
        "tls_certificate_file_path", "memory_limit_mb",
    ),
    "create_producer": (
        "schema", "compression_type", "max_pending_messages_across_partitions", "chunking_enabled",
        "message_routing_mode", "lazy_start_partitioned_producers", "batching_type", "encryption_key",
        "crypto_key_reader", "message_router",
    ),
    "send": ("replication_clusters", "disable_replication"),
    "subscribe": (
        "schema", "max_total_receiver_queue_size_across_partitions", "unacked_messages_timeout_ms",
        "broker_consumer_stats_cache_time_ms", "is_read_compacted", "crypto_key_reader",
        "replicate_subscription_state_enabled", "max_pending_chunked_message",
        "auto_ack_oldest_chunked_message_on_queue_full", "batch_receive_policy", "regex_subscription_mode",
        "dead_letter_policy", "crypto_failure_action", "is_pattern_topic",
    ),
    "create_reader": ("schema", "is_read_compacted", "crypto_key_reader", "crypto_failure_action"),
}


def refuse(method, options):
    """Raise for the options (a dict) that `method` did not take. None, False and 0 ask for nothing and pass.

    ValueError: one of pulsar-client's that is not supported yet. TypeError: nobody knows it.
    """
    known = _KNOWN[method]
    for name in options:
        if name not in known:
            raise TypeError("%s() has no option %s" % (method, name))
        if options[name]:
            raise ValueError("%s: the option %s is not supported yet" % (method, name))
