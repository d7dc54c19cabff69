"""Fills an activation store on a Ray cluster: each task is one `percept run SCRIPT --shard i/n`.

    python integrations/ray/fill.py SCRIPT --shards 64 [--percept percept] [--retries 3] [-- ARGS…]

The script calls `store(model, images, to=FOLDER)`. All tasks may write into one folder that every machine sees: each part is
written under another name and renamed when it is whole, and a task that was lost is simply run again, without double rows. Where
machines share no folder, give each its own, collect the folders, and list them with `merge([…])`.

Without an address (RAY_ADDRESS), Ray starts on this machine. The same without Ray:

    seq 64 | parallel percept run SCRIPT --shard {}/64                        # GNU parallel
    #SBATCH --array=1-64
    percept run SCRIPT --shard "$SLURM_ARRAY_TASK_ID/64"                      # a Slurm array
"""

import argparse
import os
import subprocess
import sys

import ray


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", help="a .rhai file that calls store(…, to=FOLDER)")
    parser.add_argument("--shards", type=int, default=16, help="how many parts the work is cut into")
    parser.add_argument("--percept", default="percept", help="the program, on every machine")
    parser.add_argument("--retries", type=int, default=3, help="how often a shard is run again if its worker is lost")
    parser.add_argument("--threads", type=int, default=1, help="cores of one task")
    own, rest = split(sys.argv[1:])
    options = parser.parse_args(own)
    options.rest = rest
    return options


def split(given):
    """What stands before `--`, and what the script finds in `args`."""
    at = given.index("--") if "--" in given else len(given)
    return given[:at], given[at + 1 :]


def run_shard(percept, script, shard, shards, threads, rest, folder):
    """One shard; what it printed."""
    command = [percept, "run", script, "--shard", f"{shard}/{shards}", *rest]
    environment = dict(os.environ, PERCEPT_THREADS=str(threads))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"shard {shard}/{shards} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def main():
    options = arguments()
    ray.init(log_to_driver=False)
    # an exception of the task itself counts as lost as well
    task = ray.remote(num_cpus=options.threads, max_retries=options.retries, retry_exceptions=True)(run_shard)
    waiting = {
        task.remote(
            options.percept, options.script, shard, options.shards, options.threads, options.rest, os.getcwd()
        ): shard
        for shard in range(1, options.shards + 1)
    }
    failed = []
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        shard = waiting.pop(done)
        try:
            ray.get(done)
            print(f"shard {shard}/{options.shards} is done, {len(waiting)} left", flush=True)
        except Exception as error:  # noqa: BLE001: whatever it was, the others go on
            failed.append(shard)
            print(error, file=sys.stderr)
    ray.shutdown()
    if failed:
        again = ", ".join(f"--shard {shard}/{options.shards}" for shard in sorted(failed))
        sys.exit(f"{len(failed)} shards failed; run them again: {again}")


if __name__ == "__main__":
    main()
