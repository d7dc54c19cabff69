"""Numbers that the histograms of src/plot/histogram.rs are compared with: python tools/golden/plots.py."""

import math

import numpy as np

values = [math.sin(i * 0.37) * 3 + i % 7 for i in range(200)]
for name, bins in [("GOLDEN_5", 5), ("GOLDEN_AUTO", "auto"), ("GOLDEN_EDGES", [-3, 0, 1, 4, 9])]:
    counts, _ = np.histogram(values, bins)
    print(f"const {name}: [f64; {len(counts)}] = [{', '.join(f'{c}.0' for c in counts)}];")
