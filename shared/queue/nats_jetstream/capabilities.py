"""What JetStream can do beyond the core promises, and why it cannot do the rest."""

from __future__ import annotations

from shared.queue.port import Capabilities

_NO_INDEX = (
    "a stream finds a message by its sequence or its subject, not by what it says (NATS docs, "
    "JetStream wire API reference, $JS.API.STREAM.MSG.GET)"
)
_NO_CONDITION = (
    "JetStream stores a message unless its Nats-Msg-Id was stored in the duplicate window, whether "
    "that one still waits or not (NATS docs, JetStream model deep dive, message deduplication)"
)
_WHY = {
    "idempotent_publish": "holds for the stream's duplicate window of 2 minutes, also for a job "
    "that has run meanwhile; a publish repeated later is stored again (NATS docs, JetStream model "
    "deep dive, message deduplication)",
    "fence": "the server takes an ack for a message that waits for one, whichever delivery it was "
    "sent for (nats-server, consumer.go, processAckMsg); a late Retry or DeadLetter is stored once "
    "in the duplicate window all the same",
    "crash_count": "a delivery that was lost with a cut connection counts as a crash as well: the "
    "server counts deliveries, not what happened to them (NATS docs, consumers, acknowledgements)",
    "deduplication": _NO_CONDITION,
    "dedup_window": _NO_CONDITION,
    "replace": _NO_CONDITION,
    "lanes": "consumers are limited as a whole (max_ack_pending, rate_limit), not by what their "
    "messages say (NATS docs, JetStream, consumers)",
    "cancel": _NO_INDEX,
    "listing": _NO_INDEX,
    "pause_type": "a pause holds a consumer, and consumers differ by subject, which is not the job "
    "type here (NATS docs, JetStream wire API reference, $JS.API.CONSUMER.PAUSE)",
    "results": "an ack carries nothing back to who published; results would need a bucket of their "
    "own, which this adapter does not keep (NATS docs, JetStream, key/value store)",
    "schedules": "the server's own schedules repeat one message, body and headers unchanged, and "
    "know no policy for what was missed; this adapter uses them for delays only "
    "(nats-architecture-and-design, ADR-51)",
}

CAPABILITIES = Capabilities(
    fence=False,
    deduplication=False,
    dedup_window=False,
    replace=False,
    lanes=False,
    cancel=False,
    pause_type=False,
    listing=False,
    results=False,
    schedules=False,
    why=_WHY,
)
