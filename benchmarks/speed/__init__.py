"""Time and memory of the stages, compared with a reference workload ("yardstick") in the same run."""
