"""Job queues: the port, what goes with it, and one adapter for each broker.

`port.py` is the contract of a queue; `administration.py`, `schedules.py` and JobResults (in the
port) are the small ones beside it. `factory.py` chooses an adapter by the scheme of a URL;
`message.py` reads what programs in any language push.

Adapters: `redis` is the reference, `memory` the shortest; `nats_jetstream`, `kafka`,
`rabbitmq`, `postgres`; `sharded` spreads a queue over several of one kind. In each, `queue.py` is
the port, `exchanger.py` (`claims.py` of RabbitMQ) the one call that settles and claims, `admin.py`
what a person does, `stored_job.py` (`record.py` of Kafka) how a job lies there, `capabilities.py`
what its broker lacks and why.
"""
