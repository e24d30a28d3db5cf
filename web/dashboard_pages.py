"""The dashboard with all its pages: importing a page adds it."""

from web import (
    dashboard_audit,
    dashboard_banner,
    dashboard_city,
    dashboard_keys,
    dashboard_overview,
    dashboard_seeds,
    dashboard_slot,
    dashboard_system,
    dashboard_tenants,
    dashboard_why,
)
from web.dashboard import dashboard

__all__ = [
    "dashboard",
    "dashboard_audit",
    "dashboard_banner",
    "dashboard_city",
    "dashboard_keys",
    "dashboard_overview",
    "dashboard_seeds",
    "dashboard_slot",
    "dashboard_system",
    "dashboard_tenants",
    "dashboard_why",
]
