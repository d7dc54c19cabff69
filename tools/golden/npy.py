"""Makes tests/golden/fortran_f64.npy and tests/golden/int32.npy: pip install numpy; python tools/golden/npy.py"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
np.save(GOLDEN / "fortran_f64.npy", np.asfortranarray(np.arange(24).reshape(2, 3, 4) / 8))
np.save(GOLDEN / "int32.npy", np.array([[-1, 0], [7, 100000]], dtype=np.int32))
