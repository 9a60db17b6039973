"""What RabbitMQ offers beyond the core promises, and why the rest is not there."""

from __future__ import annotations

from shared.queue.port import Capabilities

_LISTING = (
    "a message can only be looked at by taking it from its queue "
    "(rabbitmq.com/docs/queues#consumer-acknowledgement), and it then comes back as a redelivery "
    "(rabbitmq.com/docs/confirms#automatic-requeueing)"
)
_NO_STORE = (
    "the broker keeps messages and no values that a client could compare "
    "(rabbitmq.com/tutorials/amqp-concepts#brokers-role)"
)

CAPABILITIES = Capabilities(
    idempotent_publish=False,
    crash_count=False,
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
        "idempotent_publish": (
            "a publish whose confirm is lost is stored again when it is repeated "
            "(rabbitmq.com/docs/reliability#publisher-side); streams alone deduplicate "
            "(rabbitmq.com/docs/streams#deduplication-published-messages)"
        ),
        "crash_count": (
            "a lost connection returns, and counts, also what was sent ahead and never started "
            "(rabbitmq.com/docs/quorum-queues#poison-message-handling): such a job becomes a "
            "suspect early; a job that kills its workers ends all the same"
        ),
        "priority": "quorum queues have no priorities before RabbitMQ 4.0 "
        "(rabbitmq.com/docs/3.13/quorum-queues#feature-matrix)",
        "deduplication": _NO_STORE,
        "dedup_window": _NO_STORE,
        "replace": _LISTING,
        "lanes": _NO_STORE,
        "lease_per_message": (
            "a message belongs to its worker as long as the channel is open "
            "(rabbitmq.com/docs/confirms#automatic-requeueing), and heartbeats keep that open "
            "(rabbitmq.com/docs/heartbeats); they are sent by the event loop, so one that is "
            "blocked for longer than the lease loses all its jobs"
        ),
        "cancel": _LISTING,
        "pause": "the broker has no paused queue; only each consumer can be cancelled "
        "(rabbitmq.com/docs/consumers#unsubscribing)",
        "pause_type": "one queue holds all types, and a consumer takes them as they come "
        "(rabbitmq.com/docs/queues#message-ordering)",
        "listing": _LISTING,
        "results": _NO_STORE,
        "schedules": _NO_STORE,
        "oldest_ready_age": _LISTING,
    },
)
