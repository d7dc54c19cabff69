"""How long a trivial cell takes, from the request to idle, beside ipykernel's in the same run.

    round_trip.py [--strict]      with --strict, fails if Percept's median is longer
"""

import statistics
import subprocess
import sys
import time

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

CELLS = 300
WARM_UP = 20
KERNELS = ("percept", "python3")


def round_trip(client: BlockingKernelClient) -> float:
    """Seconds from the request to idle."""
    began = time.perf_counter()
    request = client.execute("1+1")
    while True:
        message = client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") == request and message["content"].get("execution_state") == "idle":
            took = time.perf_counter() - began
            break
    while True:
        reply = client.get_shell_msg(timeout=30)
        # on a busy machine answers to the questions of the start may still be on their way
        if reply["parent_header"].get("msg_id") == request:
            break
    assert reply["content"]["status"] == "ok", reply["content"]
    return took


def main() -> int:
    # ipykernel warns of TCP, once a start
    began = {name: start_new_kernel(kernel_name=name, stderr=subprocess.DEVNULL) for name in KERNELS}
    took: dict[str, list[float]] = {name: [] for name in KERNELS}
    try:
        for cell in range(WARM_UP + CELLS):
            # in turn, so that both have the same machine
            for name, (_, client) in began.items():
                seconds = round_trip(client)
                if cell >= WARM_UP:
                    took[name].append(seconds)
    finally:
        for manager, client in began.values():
            client.stop_channels()
            manager.shutdown_kernel()
    medians = {name: statistics.median(times) * 1000 for name, times in took.items()}
    for name, times in took.items():
        worst = statistics.quantiles(times, n=100)[94] * 1000
        print(f"        {name}: median {medians[name]:.2f} ms, 95 of 100 within {worst:.2f} ms, {CELLS} cells")
    ratio = medians["percept"] / medians["python3"]
    print(f"        percept / ipykernel: {ratio:.2f}")
    if ratio > 1 and "--strict" in sys.argv[1:]:
        print("round_trip.py: a trivial cell takes longer than ipykernel's", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
