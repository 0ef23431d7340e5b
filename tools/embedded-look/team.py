"""Several processes of one thread each that train one model: they share gradients once a step, which bears other work on the
machine better than threads that wait for each other in every product."""

import os
import socket

import torch
import torch.distributed as dist


def _begin(rank, size, port, work, args):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=size)
    work(args, rank, size)
    dist.destroy_process_group()


def run(work, args, size):
    """work(args, rank, size) in every process."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.multiprocessing.spawn(_begin, (size, port, work, args), size)


def share(parameters, done, size):
    """The mean of all gradients, in place; and of how far each process takes the run to be."""
    flat = torch.cat([*(p.grad.reshape(-1) for p in parameters), torch.tensor([done], dtype=torch.float32)])
    dist.all_reduce(flat)
    flat /= size
    at = 0
    for p in parameters:
        p.grad.copy_(flat[at : at + p.numel()].view_as(p))
        at += p.numel()
    return flat[-1].item()
