"""The report as one HTML file: no script, nothing fetched, for a phone, a desk and paper."""

from ternc.webpage.page import page

__all__ = ["page"]
