"""The dashboard with all its pages: importing a page adds it."""

from web import (
    dashboard_audit,
    dashboard_city,
    dashboard_overview,
    dashboard_slot,
    dashboard_tenants,
    dashboard_why,
)
from web.dashboard import dashboard

__all__ = [
    "dashboard",
    "dashboard_audit",
    "dashboard_city",
    "dashboard_overview",
    "dashboard_slot",
    "dashboard_tenants",
    "dashboard_why",
]
