"""See tools/store-check."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

SCRIPT = "integrations/ray/gallery.rhai"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def fill(percept, folder, *options):
    return subprocess.run([percept, "run", SCRIPT, *options, str(folder)], cwd=REPOSITORY, check=True, capture_output=True)


def parts(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*.parquet"))}


def same(folder, truth, what):
    if parts(folder) != truth:
        sys.exit(f"store-check: {what} differs from one run: {sorted(parts(folder))} and {sorted(truth)}")
    print(f"{what}: the same {len(truth)} parts")


def killed(percept, folder, truth, times=20):
    """Runs that are killed at random moments, until one comes to its end."""
    chance = random.Random(1)
    began = time.monotonic()
    fill(percept, folder)
    whole = time.monotonic() - began
    for path in folder.iterdir():
        path.unlink()
    command = [percept, "run", SCRIPT, str(folder)]
    for _ in range(times):
        run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.0, whole))
        run.send_signal(signal.SIGKILL)
        run.wait()
        own = parts(folder)
        if any(truth.get(name) != content for name, content in own.items()):
            sys.exit("store-check: a killed run left a part that is not whole")
        # most kills should meet a run that has something to do
        if len(own) == len(truth):
            victim = chance.choice(sorted(own))
            (folder / victim).unlink()
    fill(percept, folder)
    same(folder, truth, f"killed {times} times and resumed")


def read_by_others(folder, percept):
    import duckdb
    import pandas
    import polars

    files = str(folder / "part-*.parquet")
    frame = pandas.concat(pandas.read_parquet(path) for path in sorted(folder.glob("part-*.parquet")))
    assert list(frame.columns[:4]) == ["index", "name", "content", "label"], frame.columns
    table = polars.read_parquet(files)
    assert table.height == len(frame) and table["fire5/max"].list.len().unique().to_list() == [256]
    counted = duckdb.sql(f"select label, count(*) from '{files}' group by label order by label").fetchall()
    assert len(counted) == 10 and sum(n for _, n in counted) == len(frame), counted
    best = duckdb.sql(f'select name, "fire9/max"[13] as best from \'{files}\' order by best desc limit 1').fetchone()
    shown = subprocess.run(
        [percept, "eval", f'let s = merge(["{folder}"]); let m = s.maxima("fire9"); `${{s.names[m.slice(12, 1).argmax()]}}|${{m.slice(12, 1).max().item()}}`'],
        capture_output=True, text=True, check=True,
    ).stdout.strip().strip('"').split("|")
    assert shown[0] == best[0] and abs(float(shown[1]) - best[1]) < 1e-5 * abs(best[1]), (shown, best)
    highest = frame["fire9/max"].map(lambda row: row[12]).max()
    assert abs(highest - best[1]) < 1e-6 * abs(best[1])
    print(f"pandas, polars and DuckDB read {len(frame)} rows of {len(frame.columns)} columns")


def main():
    percept = sys.argv[1]
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        one, sharded, broken = work / "one", work / "ray", work / "killed"
        fill(percept, one)
        truth = parts(one)
        assert len(truth) > 3, sorted(truth)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        subprocess.run(
            [sys.executable, "integrations/ray/fill.py", SCRIPT, "--shards", "4", "--percept", percept, "--", str(sharded)],
            cwd=REPOSITORY, check=True,
        )
        same(sharded, truth, "four shards with Ray")
        # a shard that is run again writes no row twice
        fill(percept, sharded, "--shard", "2/4")
        same(sharded, truth, "a shard that was run again")
        killed(percept, broken, truth)
        read_by_others(one, percept)


if __name__ == "__main__":
    main()
