"""The PyTorch (CPU) side of the comparison of single ops: one JSON object per line for each case.

    python ops.py [CASE ...] [--seconds 0.5] [--threads 2] [--list]

Each case is a function that prepares its tensors once and returns the call to time; the sizes are those of the same
cases in `graft bench`. Forward-only cases run under no_grad.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

CASES = {}


def case(op, label):
    def add(prepare):
        CASES[prepare.__name__] = (op, label, prepare)
        return prepare

    return add


def without_gradient(call):
    def run():
        with torch.no_grad():
            call()

    return run


@case("layer_norm", "1576x768")
def layer_norm():
    x, weight, bias = torch.randn(1576, 768), torch.randn(768), torch.randn(768)
    return without_gradient(lambda: F.layer_norm(x, (768,), weight, bias, 1e-5))


@case("layer_norm forward+backward", "1576x768")
def layer_norm_backward():
    x, dy = torch.randn(1576, 768, requires_grad=True), torch.randn(1576, 768)
    weight, bias = torch.randn(768, requires_grad=True), torch.randn(768, requires_grad=True)
    return lambda: torch.autograd.grad(F.layer_norm(x, (768,), weight, bias, 1e-5), (x, weight, bias), dy)


@case("softmax", "18912x197")
def softmax():
    x = torch.randn(18912, 197)
    return without_gradient(lambda: torch.softmax(x, -1))


@case("softmax forward+backward", "18912x197")
def softmax_backward():
    x, dy = torch.randn(18912, 197, requires_grad=True), torch.randn(18912, 197)
    return lambda: torch.autograd.grad(torch.softmax(x, -1), x, dy)


@case("gelu exact", "4Mi")
def gelu():
    x = torch.randn(1 << 22)
    return without_gradient(lambda: F.gelu(x))


@case("gelu tanh", "4Mi")
def gelu_tanh():
    x = torch.randn(1 << 22)
    return without_gradient(lambda: F.gelu(x, approximate="tanh"))


@case("add", "4Mi")
def add():
    a, b = torch.randn(1 << 22), torch.randn(1 << 22)
    return without_gradient(lambda: a + b)


@case("attention", "B8 H12 T197 D64")
def attention():
    q, k, v = (torch.randn(8, 12, 197, 64) for _ in range(3))
    return without_gradient(lambda: F.scaled_dot_product_attention(q, k, v))


@case("attention forward+backward", "B8 H12 T197 D64")
def attention_backward():
    q, k, v = (torch.randn(8, 12, 197, 64, requires_grad=True) for _ in range(3))
    dy = torch.randn(8, 12, 197, 64)
    return lambda: torch.autograd.grad(F.scaled_dot_product_attention(q, k, v), (q, k, v), dy)


@case("cross entropy forward+backward", "2176x1000")
def cross_entropy():
    logits, labels = torch.randn(2176, 1000, requires_grad=True), torch.randint(1000, (2176,))
    return lambda: torch.autograd.grad(F.cross_entropy(logits, labels), logits)


def adamw(count):
    """A ViT's blocks as far as they fit into `count`, so that there are many tensors of the usual sizes."""
    channels = 64 if count < 1 << 20 else 384
    shapes, left = [], count
    while left > 0:
        for shape in [(3 * channels, channels), (3 * channels,), (channels, channels), (channels,),
                      (4 * channels, channels), (4 * channels,), (channels, 4 * channels), (channels,)]:
            size = min(left, torch.Size(shape).numel())
            if size:
                shapes.append(shape if size == torch.Size(shape).numel() else (size,))
            left -= size
    parameters = [torch.randn(shape, requires_grad=True) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05, fused=True).step


@case("adamw", "0.3M parameters")
def adamw_small():
    return adamw(300_000)


@case("adamw", "20M parameters")
def adamw_large():
    return adamw(20_000_000)


def measure(call, seconds):
    """Seconds of each call, after a warm-up of a fifth of the time."""
    start = time.perf_counter()
    while time.perf_counter() - start < seconds / 5:
        call()
    samples = []
    while sum(samples) < seconds or len(samples) < 3:
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--seconds", type=float, default=0.5, help="to measure for each case")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="names of the cases")
    options = parser.parse_args()
    if options.list:
        print("\n".join(CASES))
        return
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; --list names them")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for name in options.cases or CASES:
        op, label, prepare = CASES[name]
        samples = measure(prepare(), options.seconds)
        times = {"median_ms": statistics.median(samples) * 1e3, "min_ms": min(samples) * 1e3, "samples": len(samples)}
        print(json.dumps({"name": name, "op": op, "case": label} | times), flush=True)


if __name__ == "__main__":
    main()
