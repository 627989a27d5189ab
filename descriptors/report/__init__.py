"""The page a run leaves behind: what training changed, on what photos, with which settings, in one file to pass on."""

from descriptors.report.page import write_report

__all__ = ["write_report"]
