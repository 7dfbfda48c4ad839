"""A validation as JUnit XML, which every CI system reads: one test case for each check."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ternc.validation.checks import Report, Verdict

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> bytes:
    """The XML document."""
    name = _text(f"ternc validate {report.model} for {report.target}")
    counts = {
        "errors": "0",
        "tests": str(len(report.checks)),
        "failures": str(sum(check.failed for check in report.checks)),
        "skipped": str(sum(check.verdict is Verdict.SKIPPED for check in report.checks)),
    }
    suites = ElementTree.Element("testsuites", {"name": "ternc", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": name, **counts})
    for check in report.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=_text(report.model),
                                      name=_text(check.name))
        text = _text("\n".join((check.detail, *check.notes)))
        if check.failed:
            ElementTree.SubElement(case, "failure", message=_text(check.detail)).text = text
        elif check.verdict is Verdict.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=_text(check.detail))
        else:
            ElementTree.SubElement(case, "system-out").text = text
    errors = [item.render(report.model) for item in report.diagnostics]
    if errors:
        ElementTree.SubElement(suite, "system-err").text = _text("\n".join(errors))
    ElementTree.indent(suites)
    written: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return written


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
