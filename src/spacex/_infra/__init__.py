"""Shared infrastructure: errors, argument checks, memory, serialization and atomic writes."""
