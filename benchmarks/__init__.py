"""Benchmarks: quality compared with baselines, and speed compared with a reference workload."""
