"""Tissue sections to try things on: simulated ones with known truth, and public ones that are downloaded once."""

from spacex.datasets._fetched import fetch_dlpfc, fetch_visium
from spacex.datasets._simulated import simulate_section
from spacex.datasets._toy import toy

__all__ = ["fetch_dlpfc", "fetch_visium", "simulate_section", "toy"]
