"""Training steps of Neural Attentive Circuits in PyTorch on the CPU, to time beside Graft's.

    python bench/torch/circuit.py [mediator] [read-in] [circuit] [--runs N]

One JSON object a line: times, and the peak of the process's memory so far. A step is forward, backward and AdamW of what
`graft bench circuit` trains:

* mediator: the student with its stitches to a meta model of width 1280, one code for 8 x 65 tokens that are given;
* read-in: the student with its stitch, 8 images of 64 x 64, 64 receivers with a state and a code each, which are given;
* circuit: the whole, 64 input, 256 mediator and 64 output latents, 8 iterations, noise and drop path, cross entropy.

State and codes are 384, 6 heads of 64: the paper's sizes for Tiny-ImageNet. The students' loss is the sum of their
outputs; meta model and teacher are left out. Read-in attention projects every token for every receiver, as published.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH, STATE, HEADS, HEAD, HIDDEN, SIDE, CLASSES, STITCH = 8, 384, 6, 64, 768, 64, 200, 1280
INPUTS, MEDIATORS, OUTPUTS, SIGNATURE, ITERATIONS = 64, 256, 64, 64, 8
DROP_PATH = 0.1


def drop_path(branch, rate):
    if rate == 0:
        return branch
    return branch * torch.empty(BATCH, 1, 1).bernoulli_(1 - rate).div_(1 - rate)


class ModFC(nn.Module):
    def __init__(self, inputs, outputs, bias=True):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias)
        self.scale = nn.Linear(STATE, inputs, bias=False)
        self.gain = nn.Parameter(torch.tensor(0.1))

    def modulation(self, codes):
        return 1 + self.gain * F.layer_norm(self.scale(codes), (self.linear.in_features,))

    def forward(self, x, codes):
        return self.linear(x * self.modulation(codes))


class FFN(nn.Module):
    def __init__(self, rate=0.0):
        super().__init__()
        self.rate = rate
        self.norm = nn.LayerNorm(STATE)
        self.enter, self.leave = ModFC(STATE, 2 * HIDDEN), ModFC(HIDDEN, STATE)
        self.gamma = nn.Parameter(torch.full((STATE,), 0.1))

    def forward(self, x, codes):
        a, b = self.enter(self.norm(x), codes).chunk(2, -1)
        return x + drop_path(self.gamma * self.leave(a * F.gelu(b), codes), self.rate)


def heads(x):
    return x.unflatten(-1, (HEADS, HEAD)).transpose(-3, -2)


class Propagator(nn.Module):
    def __init__(self, residual=True):
        super().__init__()
        self.norm = nn.LayerNorm(STATE)
        self.sender_norm = self.norm if residual else nn.LayerNorm(STATE)
        self.query, self.key, self.value = (ModFC(STATE, HEADS * HEAD, bias=False) for _ in range(3))
        self.exit = ModFC(HEADS * HEAD, STATE)
        self.gamma = nn.Parameter(torch.full((STATE,), 0.1))
        self.bandwidth = nn.Parameter(torch.tensor(1.0))
        self.rate = DROP_PATH if residual else 0.0
        self.ffn = FFN(self.rate)
        self.residual = residual

    def forward(self, receivers, codes, senders, sender_codes, affinities=None):
        x, y = self.norm(receivers), self.sender_norm(senders)
        q, k, v = self.query(x, codes), self.key(y, sender_codes), self.value(y, sender_codes)
        mask = None if affinities is None else affinities.unsqueeze(-3)
        z = F.scaled_dot_product_attention(heads(q), heads(k), heads(v), attn_mask=mask)
        branch = self.gamma * self.exit(z.transpose(1, 2).flatten(-2), codes)
        return self.ffn(receivers + drop_path(branch, self.rate) if self.residual else branch, codes)


class ReadIn(nn.Module):
    def __init__(self, tokens):
        super().__init__()
        self.norm, self.token_norm = nn.LayerNorm(STATE), nn.LayerNorm(tokens)
        self.query = ModFC(STATE, HEADS * HEAD, bias=False)
        self.key, self.value = (ModFC(tokens, HEADS * HEAD, bias=False) for _ in range(2))
        self.exit = ModFC(HEADS * HEAD, STATE)
        self.gamma = nn.Parameter(torch.ones(STATE))
        self.ffn = FFN()

    def forward(self, states, codes, tokens):
        q = heads(self.query(self.norm(states), codes).unsqueeze(2))  # (B, U, H, 1, D)
        x = self.token_norm(tokens).unsqueeze(1)  # (B, 1, V, C)
        k, v = heads(self.key(x, codes.unsqueeze(1))), heads(self.value(x, codes.unsqueeze(1)))
        k, v = (y.expand(q.shape[0], q.shape[1], *y.shape[2:]) for y in (k, v))
        z = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).flatten(-3)
        return self.ffn(states + self.gamma * self.exit(z, codes), codes)


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.fc1, self.fc2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x):
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.fc2(F.gelu(self.fc1(y)))).permute(0, 3, 1, 2)


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Tokenizer(nn.Module):
    def __init__(self):
        super().__init__()
        a, b = STATE // 4, STATE // 2
        self.body = nn.Sequential(
            nn.Conv2d(3, a, 4, 4), ChannelNorm(a, eps=1e-6), *(ConvNeXtBlock(a) for _ in range(3)),
            ChannelNorm(a, eps=1e-6), nn.Conv2d(a, b, 2, 2), *(ConvNeXtBlock(b) for _ in range(3)))
        self.grid = nn.Parameter(torch.randn(64, SIDE // 8, SIDE // 8))
        self.features = b + 64

    def forward(self, x):
        x = self.body(x.to(memory_format=torch.channels_last))
        return torch.cat([x, self.grid.expand(x.shape[0], -1, -1, -1)], 1).flatten(2).transpose(1, 2)


class Mediator(nn.Module):
    """A mediator student: one code, stitches around."""

    def __init__(self, tokens=65):
        super().__init__()
        self.before, self.after, self.body = nn.Linear(STITCH, STATE), nn.Linear(STATE, STITCH), Propagator()
        self.x, self.codes = torch.randn(BATCH, tokens, STITCH), torch.randn(1, STATE)

    def forward(self):
        x = self.before(self.x)
        return self.after(self.body(x, self.codes, x, self.codes)).sum()


class ReadInStudent(nn.Module):
    def __init__(self, latents=INPUTS):
        super().__init__()
        self.tokenizer = Tokenizer()
        self.body, self.after = ReadIn(self.tokenizer.features), nn.Linear(STATE, STITCH)
        self.x = torch.randn(BATCH, 3, SIDE, SIDE)
        self.states, self.codes = torch.randn(BATCH, latents, STATE), torch.randn(latents, STATE)

    def forward(self):
        return self.after(self.body(self.states, self.codes, self.tokenizer(self.x))).sum()


class Circuit(nn.Module):
    def __init__(self):
        super().__init__()
        counts = (INPUTS, MEDIATORS, OUTPUTS)
        self.codes = nn.ParameterList(torch.randn(n, STATE) for n in counts)
        self.signatures = nn.ParameterList(torch.randn(n, SIGNATURE) for n in counts)
        self.norm, self.mean, self.log_variance = nn.LayerNorm(STATE), nn.Linear(STATE, STATE), nn.Linear(STATE, STATE)
        nn.init.constant_(self.log_variance.bias, -5)
        self.tokenizer = Tokenizer()
        self.read_in = ReadIn(self.tokenizer.features)
        self.propagators = nn.ModuleList(Propagator() for _ in range(ITERATIONS))
        self.read_out = Propagator(residual=False)
        self.confidence, self.logits = nn.Linear(STATE, 1), nn.Linear(STATE, CLASSES)
        self.x, self.labels = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(CLASSES, (BATCH,))

    @staticmethod
    def noisy(codes):
        return codes + 0.05 * codes.detach().abs() * (2 * torch.rand_like(codes) - 1)

    def seed(self, codes):
        h = self.norm(self.noisy(codes))
        mean = self.mean(h).expand(BATCH, -1, -1)
        return mean + torch.randn_like(mean) * (0.5 * self.log_variance(h)).exp()

    def forward(self):
        inputs, mediators, outputs = (self.seed(c) for c in self.codes)
        inputs = self.read_in(inputs, self.noisy(self.codes[0]), self.tokenizer(self.x))
        senders = torch.cat([self.codes[0], self.codes[1]])
        unit = [F.normalize(s, dim=-1) for s in self.signatures]
        sent = torch.cat(unit[:2])
        distance = 1 - unit[1] @ sent.T
        for p in self.propagators:
            kernel = (-distance / p.bandwidth).exp().masked_fill(distance > 0.9, 0).expand(BATCH, -1, -1)
            sample = torch.distributions.RelaxedBernoulli(torch.tensor(0.5), probs=kernel.clamp(0, 1)).rsample()
            log = sample.log()
            mediators = p(
                mediators, self.noisy(self.codes[1]), torch.cat([inputs, mediators], 1), self.noisy(senders),
                log - log.logsumexp(-1, keepdim=True))
        log = -(1 - unit[2] @ sent.T) / self.read_out.bandwidth
        outputs = self.read_out(
            outputs, self.noisy(self.codes[2]), torch.cat([inputs, mediators], 1), self.noisy(senders),
            log - log.logsumexp(-1, keepdim=True))
        weights = F.gumbel_softmax(self.confidence(outputs)[..., 0])
        return F.cross_entropy(self.logits((weights.unsqueeze(1) @ outputs)[:, 0]), self.labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["mediator", "read-in", "circuit"])
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    models = {"mediator": Mediator, "read-in": ReadInStudent, "circuit": Circuit}
    for name in arguments.names:
        torch.manual_seed(0)
        model = models[name]()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)
        times = []
        for _ in range(arguments.runs + 2):
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            model().backward()
            optimizer.step()
            times.append(1e3 * (time.perf_counter() - start))
        print(json.dumps(dict(
            case=name, min_ms=min(times[2:]), median_ms=statistics.median(times[2:]), threads=torch.get_num_threads(),
            parameters=sum(p.numel() for p in model.parameters()),
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, torch=torch.__version__)), flush=True)


if __name__ == "__main__":
    main()
