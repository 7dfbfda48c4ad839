"""Proof, before anyone flashes a board, that a model deploys and answers right.

One file for each kind of check; `run` makes them in order. A check is a `Check`, and knows by its
stage which exit code its failure means.
"""

from ternc.validation.checks import Check, Report, Stage, Verdict
from ternc.validation.junit import junit
from ternc.validation.limits import Limits
from ternc.validation.printing import print_checks
from ternc.validation.run import validate

__all__ = ["Check", "Limits", "Report", "Stage", "Verdict", "junit", "print_checks", "validate"]
