"""The dashboard with all its pages: importing a page adds it."""

from web import dashboard_overview, dashboard_tenants
from web.dashboard import dashboard

__all__ = ["dashboard", "dashboard_overview", "dashboard_tenants"]
