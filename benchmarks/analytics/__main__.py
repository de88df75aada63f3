"""Projections on public series, ours beside the simple methods: ``python -m benchmarks.analytics``."""

import sys

from benchmarks.analytics.bench_forecast import main

sys.exit(main())
