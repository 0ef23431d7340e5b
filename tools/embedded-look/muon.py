"""Muon for matrices and kernels, AdamW for the rest; both with steps of about the same size."""

import torch


@torch.no_grad()
def orthogonal(m, rounds=5):
    """Newton and Schulz's iteration towards the nearest matrix with singular values near one.

    Each round multiplies from the left by a polynomial of x x', so the rounds need only that small square; the wide matrix
    is multiplied once, at the end."""
    turned = m.shape[0] > m.shape[1]
    x = m.T if turned else m
    x = x / (x.norm() + 1e-7)
    square = x @ x.T
    factor = None
    for _ in range(rounds):
        once = -4.775 * square + 2.0315 * square @ square
        once.diagonal().add_(3.4445)
        factor = once if factor is None else once @ factor
        square = once @ square @ once.T
    x = factor @ x
    return x.T if turned else x


class Muon(torch.optim.Optimizer):
    """The processes of a team share the work: each makes the changes of some matrices."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0, rank=0, size=1):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.rank, self.size = rank, size
        count = sum(p.numel() for g in self.param_groups for p in g["params"])
        self.changes = torch.zeros(count)
        # The costly ones are dealt out in turn.
        costs = [p.numel() * min(len(p), p[0].numel()) for g in self.param_groups for p in g["params"]]
        by_cost = sorted(range(len(costs)), key=lambda i: -costs[i])
        self.owner = {i: (at if at // size % 2 == 0 else size - 1 - at % size) % size for at, i in enumerate(by_cost)}

    @torch.no_grad()
    def step(self):
        all_ = [(g, p) for g in self.param_groups for p in g["params"]]
        self.changes.zero_()
        at = 0
        for i, (group, p) in enumerate(all_):
            if self.owner[i] == self.rank:
                moving = self.state[p].setdefault("moving", torch.zeros_like(p))
                moving.lerp_(p.grad, 1 - group["momentum"])
                m = p.grad.lerp(moving, group["momentum"]).reshape(len(p), -1)
                self.changes[at : at + p.numel()] = (orthogonal(m) * 0.2 * max(m.shape) ** 0.5).reshape(-1)
            at += p.numel()
        if self.size > 1:
            torch.distributed.all_reduce(self.changes)
        at = 0
        for group, p in all_:
            change = self.changes[at : at + p.numel()].view(p.shape)
            p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(change, alpha=group["lr"])
            at += p.numel()


class Both:
    """One rate for both: matrices by Muon, but for those named in plain; the rest by AdamW."""

    def __init__(self, named, lr, plain=(), weight_decay=0.01, rank=0, size=1):
        named = list(named)
        fit = [n for n, p in named if p.ndim > 1 and min(len(p), p[0].numel()) > 8 and not any(w in n for w in plain)]
        matrices = [p for n, p in named if n in fit]
        rest = [p for n, p in named if n not in fit]
        muon = Muon(matrices, lr, weight_decay=weight_decay, rank=rank, size=size)
        self.parts = [muon, torch.optim.AdamW(rest, lr, (0.9, 0.98), weight_decay=0.0)]

    def set_rate(self, lr):
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr

    def zero_grad(self):
        for part in self.parts:
            part.zero_grad()

    def step(self):
        for part in self.parts:
            part.step()
