"""The Vision Transformer, its mixture of experts and the stitches of m2mKD, as plain PyTorch (docs/performance.md).

Parameters carry the reference's names, so that its test cases load by `load_state_dict`.
Axes: B batch, T tokens, C channels, E experts, K experts per token.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, features, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(features, 3 * features)
        self.proj = nn.Linear(features, features)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c))

    def class_token(self, x):
        """Only the first token's result: its query against the keys and values of all tokens."""
        b, t, c = x.shape
        weights, biases = self.qkv.weight.split([c, 2 * c]), self.qkv.bias.split([c, 2 * c])
        q = F.linear(x[:, :1], weights[0], biases[0]).view(b, 1, self.heads, -1).transpose(1, 2)
        k, v = F.linear(x, weights[1], biases[1]).view(b, t, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, 1, c))


class MLP(nn.Module):
    def __init__(self, features, first="fc1", second="fc2"):
        super().__init__()
        self.names = first, second
        self.add_module(first, nn.Linear(features, 4 * features))
        self.add_module(second, nn.Linear(4 * features, features))

    def forward(self, x):
        first, second = (getattr(self, name) for name in self.names)
        return second(F.gelu(first(x)))


class MixtureOfExperts(nn.Module):
    """Every token goes to the K experts of the largest gate logits, mixed by their softmax; no capacity, no noise."""

    def __init__(self, features, experts, k):
        super().__init__()
        self.k = k
        self.gate = nn.ModuleDict({"gate": nn.Linear(features, experts)})
        self.experts = nn.ModuleList(MLP(features, "htoh4", "h4toh") for _ in range(experts))

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        logits, chosen = self.gate["gate"](tokens).topk(self.k)  # (B T, K)
        scores = logits.softmax(-1)
        chosen = chosen.flatten()
        order = chosen.argsort(stable=True)
        counts = chosen.bincount(minlength=len(self.experts)).tolist()
        source = order // self.k
        rows = torch.cat([expert(part) for expert, part in zip(self.experts, tokens[source].split(counts))])
        mixed = torch.zeros_like(tokens).index_add(0, source, rows * scores.flatten()[order, None])
        return mixed.view_as(x)


class Stitch(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.ln = nn.LayerNorm(before)
        self.fc = nn.Linear(before, after)

    def forward(self, x):
        return self.fc(self.ln(x))


class Block(nn.Module):
    def __init__(self, features, heads, experts=0, k=2, before=None, after=None):
        super().__init__()
        self.norm1 = nn.LayerNorm(features, eps=1e-6)
        self.attn = Attention(features, heads)
        self.norm2 = nn.LayerNorm(features, eps=1e-6)
        if experts:
            self.moe = MixtureOfExperts(features, experts, k)
        else:
            self.mlp = MLP(features)
        self.feed_forward = self.moe if experts else self.mlp
        self.pre_stitch = Stitch(before, features) if before else None
        self.post_stitch = Stitch(features, after) if after else None

    def forward(self, x, only_class_token=False):
        if self.pre_stitch is not None:
            x = self.pre_stitch(x)
        if only_class_token:
            x = x[:, :1] + self.attn.class_token(self.norm1(x))
        else:
            x = x + self.attn(self.norm1(x))
        x = x + self.feed_forward(self.norm2(x))
        return self.post_stitch(x) if self.post_stitch is not None else x


class PatchEmbedding(nn.Module):
    def __init__(self, channels, patch, features):
        super().__init__()
        self.proj = nn.Conv2d(channels, features, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Stage(nn.Module):
    """A module of a divided transformer: the first embeds the image, the last one classifies.

    `slices`: the last block computes the class token alone, as the classifier reads no other.
    """

    def __init__(self, task, features, blocks, first, last, slices):
        super().__init__()
        self.slices = last and slices
        self.patch_embed = None
        if first:
            self.patch_embed = PatchEmbedding(task["channels"], task["patch"], features)
            self.cls_token = nn.Parameter(torch.empty(1, 1, features).normal_(0, 0.02))
            tokens = (task["size"] // task["patch"]) ** 2 + 1
            self.pos_embed = nn.Parameter(torch.empty(1, tokens, features).normal_(0, 0.02))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(features, eps=1e-6) if last else None
        self.head = nn.Linear(features, task["classes"]) if last else None
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        if self.patch_embed is not None:
            x = self.patch_embed(x)
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for block in self.blocks[:-1]:
            x = block(x)
        x = self.blocks[-1](x, only_class_token=self.slices)
        return x if self.head is None else self.head(self.norm(x[:, 0]))


def transformer(task, features, heads, depths, slices):
    """One stage per entry of `depths`."""
    return nn.ModuleList(
        Stage(
            task, features, [Block(features, heads) for _ in range(depth)], i == 0, i == len(depths) - 1, slices)
        for i, depth in enumerate(depths))


def student_module(task, features, heads, depth, experts, k, width, pair, pairs, slices):
    """Student module `pair` of `pairs`, stitched to tokens of `width` channels at its inner ends."""
    blocks = [
        Block(
            features, heads, experts, k, before=width if j == 0 and pair > 0 else None,
            after=width if j == depth - 1 and pair < pairs - 1 else None) for j in range(depth)
    ]
    return Stage(task, features, blocks, pair == 0, pair == pairs - 1, slices)


def m2mkd_loss(logits, taught, labels, alpha=0.5, tau=1.0, smoothing=0.1):
    """(1 - alpha) cross entropy + alpha tau^2 / N of the divergence from the teacher (arXiv 2402.16918)."""
    base = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    divergence = F.kl_div(
        (logits / tau).log_softmax(-1), (taught / tau).log_softmax(-1), reduction="batchmean", log_target=True)
    return (1 - alpha) * base + alpha * tau**2 / logits.shape[-1] * divergence


def m2mkd_logits(meta, teacher, student, pair, images):
    """Logits of student and teacher module `pair`, each between the meta model's other modules."""
    def suffix(x):
        for stage in meta[pair + 1:]:
            x = stage(x)
        return x

    with torch.no_grad():
        x = images
        for stage in meta[:pair]:
            x = stage(x)
        taught = suffix(teacher(x))
    return suffix(student(x)), taught
