"""Tells what happened to people who were not there: as one page, or as Markdown."""

from rollback.report.gathered import Report, Told, gather, told
from rollback.report.markdown import summary
from rollback.report.page import page

__all__ = ["Report", "Told", "gather", "page", "summary", "told"]
