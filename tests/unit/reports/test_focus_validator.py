"""The FOCUS Foundation's validator on focus.csv 1.2. Needs its own Python: docs/reference/finance_files.md says how.

Not part of the suite's promises of speed or of its dependencies: it runs where USAGE_ETL_FOCUS_VALIDATOR names the Python of a
virtual environment that holds focus-validator 2.2.1.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.reports.finance_months import awkward_month, demo_month
from tests.unit.reports.finance_rows import MONTH
from usage_etl.reports.chargeback_files import month_lines
from usage_etl.reports.finance.focus_file import focus_charges, focus_csv

PYTHON = os.environ.get("USAGE_ETL_FOCUS_VALIDATOR", "")
CAPABILITIES = "USAGE_MEASUREMENT_SUPPORTED,SUB_ACCOUNT_SUPPORTED"
TOTAL = re.compile(r"^Total: (\d+) \| Pass: (\d+) \| Fail: (\d+) \| Skipped: (\d+)$", re.MULTILINE)
FAILED = re.compile(r"(\w+-[A-Z]-\d{3}-[A-Z]): FAIL\b")

CONTRADICTION = {"InvoiceId-C-004-C", "InvoiceId-C-005-C", "InvoiceId-C-003-C", "InvoiceId-C-000-O"}
"""C-004 wants every InvoiceId null, C-005 none, because the model drops their conditions; the other two are their parents."""
NO_CONDITION = {
    "BilledCost-C-005-C",  # takes every charge whose issuer is not the provider for one that a third party is paid for
    "BilledCost-C-000-M",  # its parent
    "EffectiveCost-C-005-C",  # takes every purchase, seats too, for one that covers future charges
}
"""Rules that the model checks without the condition that their text has."""


def failed_rules(content, folder):
    """Names of failed rules, and how many passed. The validator reads its lists relative to the folder above its package."""
    file = folder / "focus.csv"
    file.write_bytes(content)
    asked = [PYTHON, "-c", "import focus_validator as found; print(found.__file__)"]
    where = subprocess.run(asked, check=True, capture_output=True, text=True)
    package = Path(where.stdout.strip()).parent
    command = [PYTHON, "-m", "focus_validator.main", "--data-file", str(file), "--validate-version", "1.2", "--block-download"]
    command += ["--focus-dataset", "CostAndUsage", "--applicability-criteria", CAPABILITIES]
    done = subprocess.run(command, cwd=package.parent, check=False, capture_output=True, text=True, timeout=300)
    total = TOTAL.search(done.stdout)
    assert total, done.stdout[-2000:] + done.stderr[-2000:]
    found = set(FAILED.findall(done.stdout))
    assert len(found) == int(total[3]), "its exit code is 0 even where rules fail: the Total line is what counts"
    return found, int(total[2])


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="USAGE_ETL_FOCUS_VALIDATOR does not name the Python of the FOCUS validator")
@pytest.mark.parametrize(
    ("month", "allowed"), [(demo_month, CONTRADICTION), (awkward_month, CONTRADICTION | NO_CONDITION)], ids=["demo", "awkward"]
)
def test_only_known_rules_of_the_validator_fail(tmp_path, month, allowed):
    lines, bill, papers = month()
    ordered = month_lines(lines)
    content = focus_csv(focus_charges(ordered, bill, papers, month=MONTH), ordered, version="1.2").content
    failed, passed = failed_rules(content, tmp_path)
    assert failed == allowed
    assert passed > 150
