"""Puts triggers on users' tables that append changed keys to the outbox."""
