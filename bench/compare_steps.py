"""Times training steps of Graft beside the same steps in PyTorch, in alternation, and prints the ratios of the best.

    compare_steps.py [--rounds 5] [--seconds 2] [--graft PATH] [--python PATH] [ROW ...]

A row's ratio is PyTorch's time over Graft's: above 1, Graft is faster. `make bench-torch` prepares everything.
"""

import argparse
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAIRS = "bench/recipes/m2mkd-pairs.yml"

# By row: its title, Graft's recipe with options, PyTorch's cases, whose times are added.
ROWS = {
    "middle": ("m2mKD, middle pair", [PAIRS, "--phase", "m2mKD", "--pairs", "1"], ["m2mkd_1"]),
    "sweep": ("m2mKD, three pairs", [PAIRS, "--phase", "m2mKD"], ["m2mkd_0", "m2mkd_1", "m2mkd_2"]),
    "small": ("small ViT", ["bench/recipes/vit-small.yml", "--phase", "PT"], ["vit_small"]),
}
# Recipes that differ in the number of experts alone, 8 and 64.
EXPERTS = {
    "demo": ("the demo's widths, middle pair", ["bench/recipes/experts-8.yml", "bench/recipes/experts-64.yml"]),
    "pairs": ("m2mKD, middle pair", [PAIRS, "bench/recipes/m2mkd-pairs-64-experts.yml"]),
}


def run(command):
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def graft(path, step, seconds):
    row = run([path, "bench", "step", *step, "--whole", "--no-peak", "--json", "--seconds", str(seconds)])
    return row | {"gflop": row["gflops"] * row["median_ms"] * 1e-3}


def torch(python, case, seconds, *options):
    return run([python, "bench/torch/steps.py", case, "--seconds", str(seconds), *options])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}, experts; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="that each side runs in a round")
    parser.add_argument("--graft", default=".build/release/graft")
    parser.add_argument("--python", default=".build/torch/bin/python", help="a Python that has PyTorch")
    arguments = parser.parse_args()
    rows = arguments.rows or [*ROWS, "experts"]
    unknown = [row for row in rows if row not in ROWS and row != "experts"]
    if unknown:
        parser.error(f"{', '.join(unknown)}: the rows are {', '.join(ROWS)} and experts")

    best = {}

    def time_graft(step):
        return graft(arguments.graft, step, arguments.seconds)

    def note(key, measured):
        known = best.get(key)
        best[key] = measured if known is None or measured["min_ms"] < known["min_ms"] else known

    for _ in range(arguments.rounds):
        for row in rows:
            if row == "experts":
                for key, (_, recipes) in EXPERTS.items():
                    for count, recipe in zip((8, 64), recipes):
                        note((key, count), time_graft([recipe, "--phase", "m2mKD", "--pairs", "1"]))
                continue
            _, options, cases = ROWS[row]
            note(row, time_graft(options))
            for case in cases:
                note(case, torch(arguments.python, case, arguments.seconds))
                note(case + " sliced", torch(arguments.python, case, arguments.seconds, "--slices"))

    print(f"best of {arguments.rounds} alternating rounds; 'sliced' is PyTorch with the class-token slice written by hand")
    print(f"{'step':20} {'Graft ms':>9} {'GFLOP':>6} {'PyTorch ms':>11} {'GFLOP':>6} {'ratio':>6} {'sliced ms':>10} {'ratio':>6}")
    for row in rows:
        if row == "experts":
            for key, (title, _) in EXPERTS.items():
                few, many = best[key, 8]["min_ms"], best[key, 64]["min_ms"]
                print(f"{title}, 8 -> 64 experts: {few:.1f} -> {many:.1f} ms, {100 * (many / few - 1):+.0f} %")
            continue
        title, _, cases = ROWS[row]
        ours = best[row]
        theirs, sliced = (sum(best[case + suffix]["min_ms"] for case in cases) for suffix in ("", " sliced"))
        gflop = sum(best[case]["gflop"] for case in cases)
        print(
            f"{title:20} {ours['min_ms']:9.1f} {ours['gflop']:6.2f} {theirs:11.1f} {gflop:6.2f} "
            f"{theirs / ours['min_ms']:6.2f} {sliced:10.1f} {sliced / ours['min_ms']:6.2f}")


main()
