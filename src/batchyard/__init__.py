"""Batchyard: a self-hosted Message Batches server for any model."""

__version__ = "0.1.0"
