"""Benchmarks: quality against baselines, and speed against a yardstick."""
