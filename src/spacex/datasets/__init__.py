"""Example tissue sections: simulated sections with known truth, and public sections that are downloaded once."""

from spacex.datasets._fetched import fetch_dlpfc, fetch_visium
from spacex.datasets._simulated import simulate_section
from spacex.datasets._toy import toy

__all__ = ["fetch_dlpfc", "fetch_visium", "simulate_section", "toy"]
