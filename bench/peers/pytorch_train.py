#!/usr/bin/env python3
"""Whole training jobs of a stack of dense layers in PyTorch, for bench_train.

    echo '{"kind": "ddp", "layers": [784, 512, 512, 10], "batch": 64, "epochs": 4, "learning_rate": 0.1,
           "images": "IMAGES.gz", "labels": "LABELS.gz", "held_out": 0.2, "seed": 1}' |
        /usr/bin/python3 bench/peers/pytorch_train.py                                     (in one line)

Reads one request a line and answers each with a line of JSON. The kinds:

    one       one process
    ddp       two processes, DistributedDataParallel over gloo: gradients are averaged at every step
    hogwild   two processes that read and write the same parameters in shared memory, without locks

Each process computes on one thread, with batches of its own of that size; an epoch is divided among the
processes. Data is normalized over the training samples, as Troupe does. After each epoch process 0 measures the
held-out accuracy. The answer:

    {"samples": of the whole job, "seconds": from the first batch to the end of the last process,
     "steady_samples_per_second": of epochs 2 and later, summed over the processes,
     "epochs": [{"seconds": since the first batch, "held_out_accuracy": 0.9}, ...],
     "whole_seconds": with the start and end of the processes}

The first line it prints says what it is. Exits with 77 where PyTorch is not installed.
"""
import gzip
import json
import os
import socket
import struct
import sys
import time

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before anything reads them
try:
    import torch
except ImportError as missing:
    print(f"pytorch_train: {missing}", file=sys.stderr)
    sys.exit(77)
import torch.distributed
import torch.multiprocessing

from pytorch_step import blas, stack


def idx(path):
    """The unsigned bytes of an IDX file and their dimensions."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    dimensions = struct.unpack_from(f">{data[3]}I", data, 4)
    return torch.frombuffer(bytearray(data[4 + 4 * data[3] :]), dtype=torch.uint8).reshape(dimensions)


def load(request):
    """Training features and labels, held-out features and labels: float32 rows of mean 0 and deviation 1."""
    images = idx(request["images"]).flatten(1).float() / 255
    labels = idx(request["labels"]).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(request["seed"]))
    kept = len(labels) - round(len(labels) * request["held_out"])
    train, held_out = order[:kept], order[kept:]
    mean, deviation = images[train].mean(), images[train].std(unbiased=False)
    images = (images - mean) / deviation
    return images[train], labels[train], images[held_out], labels[held_out]


def accuracy(model, features, labels):
    with torch.no_grad():
        return (model(features).argmax(1) == labels).double().mean().item()


def work(rank, processes, request, data, shared, port, answers):
    """One process of a job; `shared`: the model of hogwild, else None."""
    torch.set_num_threads(1)
    torch.manual_seed(request["seed"])
    features, labels, held_out_features, held_out_labels = data
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=processes)
    plain = shared if shared is not None else stack(request["layers"])
    model = torch.nn.parallel.DistributedDataParallel(plain) if request["kind"] == "ddp" else plain
    optimizer = torch.optim.SGD(model.parameters(), lr=request["learning_rate"])
    loss = torch.nn.CrossEntropyLoss()
    batch = request["batch"]
    share = len(labels) // processes
    epochs, ends = [], []

    def gradient(rows):
        optimizer.zero_grad(set_to_none=True)
        loss(model(features[rows]), labels[rows]).backward()

    for _ in range(3):  # what is made at the first use; no parameter changes
        loss(model(features[:batch]), labels[:batch]).backward()
        optimizer.zero_grad(set_to_none=True)
    torch.distributed.barrier()
    begun = time.perf_counter()
    for epoch in range(request["epochs"]):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(request["seed"] + epoch))
        mine = order[rank * share : (rank + 1) * share]
        for at in range(0, share, batch):
            gradient(mine[at : at + batch])
            optimizer.step()
        if rank == 0:
            found = accuracy(plain, held_out_features, held_out_labels)
            epochs.append({"seconds": time.perf_counter() - begun, "held_out_accuracy": found})
        ends.append(time.perf_counter() - begun)
    torch.distributed.barrier()
    seconds = time.perf_counter() - begun
    steady = share * (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 1 else share / ends[0]
    answers.put({"rank": rank, "seconds": seconds, "samples": share * len(ends), "steady": steady, "epochs": epochs})
    torch.distributed.destroy_process_group()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def train(request, data):
    begun = time.perf_counter()
    processes = 1 if request["kind"] == "one" else 2
    torch.manual_seed(request["seed"])
    shared = stack(request["layers"]).share_memory() if request["kind"] == "hogwild" else None
    answers = torch.multiprocessing.get_context("spawn").SimpleQueue()
    torch.multiprocessing.spawn(
        work, (processes, request, data, shared, free_port(), answers), nprocs=processes, join=True
    )
    of_ranks = sorted((answers.get() for _ in range(processes)), key=lambda answer: answer["rank"])
    return {
        "samples": sum(answer["samples"] for answer in of_ranks),
        "seconds": max(answer["seconds"] for answer in of_ranks),
        "steady_samples_per_second": sum(answer["steady"] for answer in of_ranks),
        "epochs": of_ranks[0]["epochs"],
        "whole_seconds": time.perf_counter() - begun,
    }


def main():
    torch.set_num_threads(1)
    torch.ones(64, 64) @ torch.ones(64, 64)  # loads what multiplies
    print(json.dumps({"torch": torch.__version__, "blas": blas()}), flush=True)
    data = {}
    for line in sys.stdin:
        request = json.loads(line)
        files = (request["images"], request["labels"])
        if files not in data:
            data = {files: [part.share_memory_() for part in load(request)]}
        print(json.dumps(train(request, data[files])), flush=True)


if __name__ == "__main__":
    main()
