"""Reports, as one HTML page or as Markdown."""

from rollback.actions.report_data import ReportData, ReportedRecord
from rollback.views.report.markdown import summary
from rollback.views.report.page import page

__all__ = ["ReportData", "ReportedRecord", "page", "summary"]
