#!/usr/bin/env python3
"""Single ops beside PyTorch on the CPU: both sides in alternation, the best of each, and the ratio of their speeds.

    bench/compare_ops.py [CASE ...] [--rounds 5] [--seconds 0.3] [--graft PATH] [--python PATH] [--json] [--list]

It installs nothing: `make bench-torch` makes the environment that --python names by default. A case is one of
bench/torch/ops.py; Graft's time is the sum of the rows that its commands print.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def op(name, *shapes):
    return ["ops", "--op", name, "--shape", ",".join(shapes)]


# Case of ops.py: what Graft runs for the same result.
CASES = {
    "layer_norm": [op("layer_norm", "1576x768", "768", "768")],
    "layer_norm_backward": [
        op("layer_norm", "1576x768", "768", "768"),
        op("layer_norm_backward", "1576x768", "768", "1576", "1576", "1576x768"),
        op("layer_norm_parameter_gradients", "1576x768", "1576", "1576", "1576x768"),
    ],
    "softmax": [op("softmax", "18912x197")],
    "softmax_backward": [op("softmax", "18912x197"), op("softmax_backward", "18912x197", "18912x197")],
    "gelu": [op("gelu", "4194304")],
    "add": [op("add", "4194304", "4194304")],
    "attention": [["attention", "--shape", "B8H12T197D64", "--only", "forward"]],
    "attention_backward": [["attention", "--shape", "B8H12T197D64", "--only", "both"]],
    "cross_entropy": [
        op("distillation_loss", "2176x1000", "2176"),
        op("distillation_loss_backward", "2176x1000", "2176", "2176"),
    ],
}


def lines(command):
    """The JSON lines that a command prints; ends the program with its message if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"error: {command[0]}: {error.strerror}; see --help")
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, command))}: {done.stderr.strip().splitlines()[-1:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="to measure for each case, side and round")
    parser.add_argument("--graft", default=ROOT / ".build/release/graft")
    parser.add_argument("--python", default=ROOT / ".build/torch/bin/python", help="with PyTorch")
    parser.add_argument("--json", action="store_true", help="one object per line instead of the table")
    parser.add_argument("--list", action="store_true", help="names of the cases")
    options = parser.parse_args()
    if options.list:
        print("\n".join(CASES))
        return
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; --list names them")
    if not options.json:
        print(f"{'case':22} {'graft ms':>10} {'torch ms':>10} {'speed of torch':>15}")
    seconds = ["--seconds", str(options.seconds)]
    for name in options.cases or CASES:
        ours, theirs = [], []
        for _ in range(options.rounds):
            rows = [
                row
                for case in CASES[name]
                for row in lines([options.graft, "bench", *case, "--no-peak", "--json", *seconds])
            ]
            ours.append(sum(row["min_ms"] for row in rows))
            theirs += [row["min_ms"] for row in lines([options.python, ROOT / "bench/torch/ops.py", name, *seconds])]
        ratio = min(theirs) / min(ours)
        if options.json:
            device = {key: rows[0][key] for key in ("device", "driver", "commit")}
            print(json.dumps({"name": name, "graft_ms": min(ours), "torch_ms": min(theirs), "ratio": ratio} | device))
        else:
            print(f"{name:22} {min(ours):10.3f} {min(theirs):10.3f} {100 * ratio:13.0f} %")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
