"""Sections to try things on, simulated or downloaded once, and the references that are shipped with the package."""

from spacex.datasets._fetched import fetch_dlpfc, fetch_visium
from spacex.datasets._reference import reference
from spacex.datasets._simulated import simulate_section
from spacex.datasets._toy import toy

__all__ = ["fetch_dlpfc", "fetch_visium", "reference", "simulate_section", "toy"]
