"""The queue on Kafka: consumer groups, progress kept in the committed offsets, retry topics."""
