#!/usr/bin/env python3
"""Training steps of a stack of dense layers in PyTorch, one thread, for bench_compute.

    echo '{"layers": [784, 512, 512, 10], "batch": 64, "seconds": 1}' | /usr/bin/python3 bench/peers/pytorch_step.py

Reads one request a line and answers each with a line of JSON: the seconds each step took. A step gathers
a batch of shuffled samples, clears the gradients, runs forward, softmax cross-entropy and backward, and applies
plain SGD. The first line it prints says what it is. Exits with 77 where PyTorch is not installed.
"""
import ctypes
import json
import os
import sys
import time

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before anything reads them
try:
    import torch
except ImportError as missing:
    print(f"pytorch_step: {missing}", file=sys.stderr)
    sys.exit(77)

SAMPLES = 8000


def blas():
    """The linear algebra that this process really loaded, and the kernels it chose."""
    with open("/proc/self/maps") as maps:
        files = sorted({line.split()[-1] for line in maps if "blas" in line and ".so" in line})
    for file in files:
        try:
            name = ctypes.CDLL(file).openblas_get_corename
        except (AttributeError, OSError):
            continue
        name.restype = ctypes.c_char_p
        return f"OpenBLAS {name().decode()}"
    return ", ".join(os.path.basename(file) for file in files) or "built in"


def stack(layers):
    """Dense layers with ReLU between them."""
    stages = []
    for inputs, units in zip(layers, layers[1:]):
        stages += [torch.nn.Linear(inputs, units), torch.nn.ReLU()]
    return torch.nn.Sequential(*stages[:-1])


class network:
    def __init__(self, layers):
        self.model = stack(layers)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.loss = torch.nn.CrossEntropyLoss()
        self.features = torch.rand(SAMPLES, layers[0])
        self.labels = torch.randint(0, layers[-1], (SAMPLES,))
        self.order = torch.randperm(SAMPLES)
        self.at = 0

    def step(self, batch):
        if self.at + batch > SAMPLES:
            self.at = 0
        rows = self.order[self.at : self.at + batch]
        self.at += batch
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.model(self.features[rows]), self.labels[rows]).backward()
        self.optimizer.step()


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print(json.dumps({"torch": torch.__version__, "blas": blas()}), flush=True)
    networks = {}
    for line in sys.stdin:
        request = json.loads(line)
        layers = tuple(request["layers"])
        if layers not in networks:
            networks = {layers: network(layers)}
            for _ in range(3):
                networks[layers].step(request["batch"])
        steps = []
        end = time.perf_counter() + request["seconds"]
        while not steps or time.perf_counter() < end:
            begun = time.perf_counter()
            networks[layers].step(request["batch"])
            steps.append(time.perf_counter() - begun)
        print(json.dumps(steps), flush=True)


if __name__ == "__main__":
    main()
