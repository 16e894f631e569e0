"""Times training steps of a Neural Attentive Circuit in Graft beside the same steps in PyTorch, in alternation.

    compare_circuit.py [--rounds 5] [--seconds 2] [--graft PATH] [--python PATH] [mediator] [read-in] [circuit]

Prints times of the best, PyTorch's over Graft's (above 1, Graft is faster), and the peak memory of both processes, each
of which does nothing else. What is in a step: `graft bench circuit --help`. `make bench-torch` prepares everything.
"""

import argparse
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PARTS = ["mediator", "read-in", "circuit"]


def run(command):
    """The last line of a command's output, and the peak of its memory in MiB."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    line = json.loads(process.stdout.read().splitlines()[-1])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return line, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="that Graft runs in a round")
    parser.add_argument("--runs", type=int, default=5, help="steps of PyTorch in a round")
    parser.add_argument("--graft", default=".build/release/graft")
    parser.add_argument("--python", default=".build/torch/bin/python", help="a Python that has PyTorch")
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"{', '.join(unknown)}: the parts are {', '.join(PARTS)}")

    measured = {}
    for _ in range(arguments.rounds):
        for part in parts:
            sides = {
                "Graft": [arguments.graft, "bench", "circuit", part, "--whole", "--no-peak", "--json", "--seconds",
                          str(arguments.seconds)],
                "PyTorch": [arguments.python, "bench/torch/circuit.py", part, "--runs", str(arguments.runs)],
            }
            for side, command in sides.items():
                row, peak = run(command)
                measured.setdefault((part, side), []).append((row["min_ms"], row["median_ms"], peak))

    print(f"best of {arguments.rounds} alternating rounds; medians of a round's median in brackets; peak memory in MiB")
    print(f"{'step':10} {'Graft ms':>18} {'PyTorch ms':>18} {'ratio':>6} {'Graft MiB':>10} {'PyTorch MiB':>12}")
    for part in parts:
        best, text, peaks = {}, {}, {}
        for side in ("Graft", "PyTorch"):
            rows = measured[part, side]
            best[side] = min(row[0] for row in rows)
            text[side] = f"{best[side]:.1f} ({sorted(row[1] for row in rows)[len(rows) // 2]:.1f})"
            peaks[side] = max(row[2] for row in rows)
        print(f"{part:10} {text['Graft']:>18} {text['PyTorch']:>18} {best['PyTorch'] / best['Graft']:6.2f} "
              f"{peaks['Graft']:10.0f} {peaks['PyTorch']:12.0f}")


main()
