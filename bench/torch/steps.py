"""Training steps of bench/recipes in PyTorch on the CPU, timed: the other side of bench/compare_steps.py.

    steps.py CASE [--seconds 3] [--threads 2] [--slices]     one JSON object on a line
    steps.py --check FOLDER                                  loss and gradients against the reference's case there

CASE: m2mkd_0, m2mkd_1 (the middle pair), m2mkd_2, vit_small. `--slices` gives PyTorch the class-token slice, too.
"""

import argparse
import json
import statistics
import struct
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from models import m2mkd_logits, m2mkd_loss, student_module, transformer

PAIR_TASK = dict(size=64, channels=3, patch=8, classes=200, mean=[0.480, 0.448, 0.398], std=[0.277, 0.269, 0.282])
SMALL_TASK = dict(size=28, channels=1, patch=7, classes=10, mean=[0.2860], std=[0.3530])


def adamw(model):
    matrices, rest = [], []
    for name, p in model.named_parameters():
        plain = p.ndim < 2 or name.endswith("bias") or name.endswith(("pos_embed", "cls_token"))
        (rest if plain else matrices).append(p)
    groups = [dict(params=matrices, weight_decay=0.05), dict(params=rest, weight_decay=0.0)]
    return torch.optim.AdamW(groups, lr=1e-3, fused=True)


def normalized(task, images):
    mean, std = (torch.tensor(task[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (images / 255 - mean) / std


def m2mkd_step(pair, slices, batch=16, experts=8):
    task = PAIR_TASK
    meta = transformer(task, 384, 6, [1, 1, 1], slices).requires_grad_(False)
    teacher = transformer(task, 384, 6, [2, 2, 2], slices)[pair].requires_grad_(False)
    student = student_module(task, 192, 3, 3, experts, 2, 384, pair, 3, slices)
    optimizer = adamw(student)

    def step(images, labels):
        logits, taught = m2mkd_logits(meta, teacher, student, pair, normalized(task, images))
        loss = m2mkd_loss(logits, taught, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    return task, batch, step


def vit_step(slices, batch=128):
    task = SMALL_TASK
    model = torch.nn.Sequential(*transformer(task, 64, 4, [1, 1, 1, 1], slices))
    optimizer = adamw(model)

    def step(images, labels):
        loss = F.cross_entropy(model(normalized(task, images)), labels, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    return task, batch, step


CASES = {f"m2mkd_{pair}": lambda slices, pair=pair: m2mkd_step(pair, slices) for pair in range(3)}
CASES["vit_small"] = vit_step


def measure(case, seconds, slices):
    torch.manual_seed(0)
    task, batch, step = CASES[case](slices)
    images = torch.randint(0, 256, (batch, task["channels"], task["size"], task["size"]), dtype=torch.uint8)
    labels = torch.randint(0, task["classes"], (batch,))
    with FlopCounterMode(display=False) as counter:
        step(images, labels)
    for _ in range(3):
        step(images, labels)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        step(images, labels).item()
        times.append(1e3 * (time.perf_counter() - begin))
    print(json.dumps(dict(
        case=case, median_ms=round(statistics.median(times), 3), min_ms=round(min(times), 3), steps=len(times),
        gflop=round(counter.get_total_flops() / 1e9, 3), slices=slices, threads=torch.get_num_threads(),
        torch=torch.__version__)))


def tensors(path):
    """A safetensors file of f32 and i64 tensors as a dictionary."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    kinds = {"F32": torch.float32, "I64": torch.int64}
    return {
        name: torch.frombuffer(bytearray(data[slice(*entry["data_offsets"])]), dtype=kinds[entry["dtype"]])
        .view(entry["shape"]) for name, entry in header.items() if name != "__metadata__" and entry["dtype"] in kinds
    }


def check(folder):
    """The middle pair of the reference's case: the same weights and images give its loss and gradients."""
    common, case = tensors(f"{folder}/shared_03_common.safetensors"), tensors(f"{folder}/shared_03_vmoe_idx1.safetensors")
    expected = json.load(open(f"{folder}/shared_03_vmoe_idx1.json"))["loss_float64"]["soft"]
    task = dict(size=32, channels=3, patch=8, classes=10)

    def load(module, source, prefix):
        values = {name[len(prefix):]: x for name, x in source.items() if name.startswith(prefix)}
        module.load_state_dict(
            {name: values[name].view_as(x) for name, x in module.state_dict().items() if name in values}, strict=False)

    for slices in (False, True):
        meta, teacher = (transformer(task, 48, 4, depths, slices) for depths in ([1, 1, 1, 1], [2, 1, 1, 2]))
        for name, model in (("meta", meta), ("teacher", teacher)):
            for i, stage in enumerate(model):
                load(stage, common, f"{name}.stage{i}.")
        student = student_module(task, 32, 4, 2, 4, 2, 48, 1, 4, slices)
        load(student, case, "param.stages.0.")
        logits, taught = m2mkd_logits(meta, teacher[1], student, 1, common["in.x"])
        base = -(common["in.soft_targets"] * logits.log_softmax(-1)).sum(-1).mean()
        labels = torch.zeros(len(logits), dtype=torch.long)
        divergence = m2mkd_loss(logits, taught, labels, alpha=1.0)
        loss = 0.5 * base + 0.5 * divergence
        loss.backward()
        errors = {}
        for name, p in student.named_parameters():
            gradient = case["grad_soft.stages.0." + name].view_as(p)
            errors[name] = float((p.grad - gradient).abs().max() / gradient.abs().max().clamp_min(1e-6))
        print(f"slices {slices}: loss {loss.item():.8f}, expected {expected:.8f}; "
              f"largest gradient error {max(errors.values()):.1e} over {len(errors)} parameters")
        if abs(loss.item() - expected) > 1e-5 or max(errors.values()) > 1e-3:
            sys.exit("steps.py: does not compute the reference's step")


parser = argparse.ArgumentParser()
parser.add_argument("case", nargs="?", choices=CASES)
parser.add_argument("--seconds", type=float, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--slices", action="store_true")
parser.add_argument("--check", metavar="FOLDER")
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
if arguments.check:
    check(arguments.check)
elif arguments.case:
    measure(arguments.case, arguments.seconds, arguments.slices)
else:
    parser.error("name a case, or --check FOLDER")
