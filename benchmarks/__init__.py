"""Side-by-side benchmarks: `python -m benchmarks`. Figures are ratios of medians, interleaved in one run."""
