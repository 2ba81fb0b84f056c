"""Payments that are never lost, doubled or guessed: the core of the Realtime Payment Engine."""

__version__ = "0.1.0"
