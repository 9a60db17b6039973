"""What the queue on Kafka can do, and why not the rest."""

from __future__ import annotations

from shared.queue.port import Capabilities

_DESIGN = "kafka.apache.org/documentation/#design"
_NO_LOOKUP = f"a partition is a log that is read by offset, not by key ({_DESIGN}, The Consumer)"
_NO_TAKING_OUT = (
    "a record cannot be taken out of the middle of a log: compaction drops it later, for a newer "
    f"one of its key, and whoever keeps up reads it all the same ({_DESIGN}, Log Compaction)"
)

CAPABILITIES = Capabilities(
    idempotent_publish=False,
    priority=False,
    deduplication=False,
    dedup_window=False,
    replace=False,
    lanes=False,
    lease_per_message=False,
    cancel=False,
    pause=False,
    pause_type=False,
    listing=False,
    results=False,
    schedules=False,
    oldest_ready_age=False,
    why={
        "idempotent_publish": "the idempotent producer knows its own repetitions, by producer id "
        f"and sequence number, not the keys of records ({_DESIGN}, Message Delivery Semantics)",
        "priority": "a partition is totally ordered, and one consumer of a group reads it in that "
        f"order ({_DESIGN}, Consumer Position)",
        "deduplication": _NO_LOOKUP,
        "dedup_window": _NO_LOOKUP,
        "replace": _NO_TAKING_OUT,
        "lanes": f"the limits would need a state that all consumers share; {_NO_LOOKUP}",
        "lease_per_message": "a consumer holds whole partitions, by the heartbeats of its session "
        "(kafka.apache.org/documentation/#consumerconfigs_session.timeout.ms); the client sends "
        "them on the event loop, so a loop that is blocked for the whole lease loses all of them. "
        f"Share groups ({_DESIGN}, The Share Consumer) lock single records; they are production-"
        "ready from Kafka 4.2 on, and the client library has none",
        "cancel": _NO_TAKING_OUT,
        "pause": "pausing is the affair of each consumer, and the brokers keep no such state "
        "(javadoc of KafkaConsumer, Consumption Flow Control)",
        "pause_type": _NO_TAKING_OUT,
        "listing": f"what waits can only be read in whole; {_NO_LOOKUP}",
        "results": _NO_LOOKUP,
        "schedules": "no request of the protocol writes at a time or on a condition "
        "(kafka.apache.org/protocol#protocol_api_keys)",
        "oldest_ready_age": "the brokers tell offsets, not times, of what a group has not read "
        "(kafka.apache.org/documentation/#basic_ops_consumer_lag, Checking consumer position)",
    },
)
