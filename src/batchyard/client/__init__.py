"""Bulk jobs against any server of the Message Batches API."""
