"""Reports, as one HTML page or as Markdown."""

from rollback.queries.report_data import ReportData, ReportedRecord
from rollback.reports.page import page
from rollback.views.markdown import summary

__all__ = ["ReportData", "ReportedRecord", "page", "summary"]
