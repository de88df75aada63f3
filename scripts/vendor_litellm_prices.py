"""Writes the compact copy of LiteLLM's price file under usage_etl/pricing/data/.

    python scripts/vendor_litellm_prices.py model_prices_and_context_window_backup.json 1.110.2

The file lies inside the package litellm. Numbers are read as exact decimals. Look at the difference before you commit it:
`usage-etl prices diff` says where it disagrees with genai-prices.
"""

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from usage_etl.pricing.litellm_file import LITELLM_COLUMNS, LITELLM_SURCHARGE_COLUMNS, flatten_litellm

DATA = Path(__file__).parents[1] / "usage_etl" / "pricing" / "data"


def _csv(rows: Iterable[Mapping[str, str | None]], columns: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def main(file: str, version: str) -> None:
    """Flattens ``file`` and writes the two tables and the version beside them."""
    document = json.loads(Path(file).read_text(encoding="utf-8"), parse_float=Decimal)
    prices, surcharges = flatten_litellm(document)
    (DATA / "litellm_prices.csv").write_text(_csv(prices, LITELLM_COLUMNS), encoding="utf-8")
    (DATA / "litellm_surcharges.csv").write_text(_csv(surcharges, LITELLM_SURCHARGE_COLUMNS), encoding="utf-8")
    (DATA / "litellm_version.txt").write_text(f"{version}\n", encoding="utf-8")
    sys.stdout.write(f"{len(document)} entries: {len(prices)} prices, {len(surcharges)} surcharges\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
