"""Time the layers of a 2:4 sparse network in PyTorch's semi-structured format against dense ones, on an NVIDIA GPU.

    python -m lightning_snn.train --data cifar10 --network vgg16 --pruning spike_nm --name two-of-four
    python benchmarks/semi_structured.py runs/two-of-four/network

Each layer is a product of its weight matrix with its unfolded input, in half precision; unfolding is not timed. Layers
that are not 2:4, or whose sizes the format does not take, are listed as such.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from lightning_snn._fan_out import weighted_layers
from lightning_snn.artifact import load_artifact
from lightning_snn.artifact import read_architecture
from lightning_snn.errors import PruningError
from lightning_snn.forward import run_network
from lightning_snn.semi_structured import semi_structured
from lightning_snn.semi_structured import unfolded
from lightning_snn.semi_structured import weight_matrix


def main() -> int:
    """Print a table; return 2 where there is nothing to run on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="folder of a saved network")
    parser.add_argument("--batch", type=int, default=64, help="samples; each is shown T times")
    parser.add_argument("--blocks", default="channels", choices=("channels", "flat"), help="as it was pruned")
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: The semi-structured format needs an NVIDIA GPU, found none. Run it where there is one.")
        return 2
    network = load_artifact(chosen.network).cuda()
    steps, _, *shape = read_architecture(chosen.network)["example_shape"]
    inputs = inputs_of(network, torch.rand(steps, chosen.batch, *shape, device="cuda"))
    print(f"{torch.cuda.get_device_name()}, T={steps}, batch {chosen.batch}\n")
    print("| layer | dense, ms | 2:4, ms | dense / 2:4 |\n|---|---:|---:|---:|")
    for name, layer in weighted_layers(network).items():
        try:
            sparse = semi_structured(layer, chosen.blocks)
            dense_OK = weight_matrix(layer, chosen.blocks).half()
            x_KP = unfolded(layer, inputs[name], chosen.blocks).half().contiguous()
            times = [milliseconds(matrix, x_KP) for matrix in (dense_OK, sparse)]
        except (PruningError, RuntimeError, ValueError) as error:
            print(f"| {name} | - | - | {str(error).splitlines()[0][:80]} |")
            continue
        print(f"| {name} | {times[0]:.3f} | {times[1]:.3f} | {times[0] / times[1]:.2f} |")
    return 0


def inputs_of(network: torch.nn.Module, x_TBCHW: Tensor) -> dict[str, Tensor]:
    """Return what each layer sees of a batch, all time steps along the first axis."""
    inputs: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(lambda _, args, name=name: inputs.update({name: args[0].flatten(0, 1)}))
        for name, layer in weighted_layers(network).items()
    ]
    with torch.no_grad():
        run_network(network.eval(), x_TBCHW)
    for handle in handles:
        handle.remove()
    return inputs


def milliseconds(matrix_OK: Tensor, x_KP: Tensor) -> float:
    """Return the median time of a product."""
    timer = Timer("torch.mm(matrix, x)", globals={"torch": torch, "matrix": matrix_OK, "x": x_KP})
    return 1e3 * float(timer.blocked_autorange(min_run_time=0.5).median)


if __name__ == "__main__":
    raise SystemExit(main())
