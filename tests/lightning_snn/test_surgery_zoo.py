"""Networks that nobody here wrote: SpikingJelly's are traced, shrunk and measured as they are.

In float64, so that no spike depends on the order of a sum. Groups are read off the networks' definitions by hand.
Axes: T time steps, B batch, C channels, H rows, W columns.
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.model import ms_resnet
from spikingjelly.activation_based.model import qkformer
from spikingjelly.activation_based.model import sew_resnet
from spikingjelly.activation_based.model import spikformer
from spikingjelly.activation_based.model import spiking_resnet
from spikingjelly.activation_based.model import spiking_vgg
from torch import Tensor
from torch import nn

from lightning_snn._any_output import run_any_output
from lightning_snn.errors import SurgeryError
from lightning_snn.surgery import ChannelPlan
from lightning_snn.surgery import channel_groups
from lightning_snn.surgery import shrink
from lightning_snn.synops import measure_synops

LIF = {"spiking_neuron": neuron.LIFNode, "surrogate_function": surrogate.ATan(), "detach_reset": True}
RESNET_TIED = [["conv1", "layer1.0.conv2", "layer1.1.conv2"]]
RESNET_TIED += [[f"layer{n}.0.conv2", f"layer{n}.0.downsample.0", f"layer{n}.1.conv2"] for n in (2, 3, 4)]
RESNET_TIED += [[f"layer{n}.{b}.conv1"] for n in (1, 2, 3, 4) for b in (0, 1)]
MS_TIED = [["stem.0"]]  # its first stage halves the image, so that even its first shortcut has a convolution
MS_TIED += [[f"layer{n}.0.downsample.0", f"layer{n}.0.conv2", f"layer{n}.1.conv2"] for n in (1, 2, 3, 4)]
MS_TIED += [[f"layer{n}.{b}.conv1"] for n in (1, 2, 3, 4) for b in (0, 1)]
MAX_TIED = [["stem.0", "layer1.0.conv2"], *[[f"layer{n}.0.downsample.0", f"layer{n}.0.conv2"] for n in (2, 3)]]
MAX_TIED += [[f"layer{n}.0.conv1"] for n in (1, 2, 3)]
VGG_TIED = [[f"features.{n}"] for n in (0, 4, 8, 11, 15, 18, 22, 25)] + [["classifier.0"], ["classifier.3"]]
STEM = [f"patch_embed.stages.{n}.conv_bn.block.0" for n in range(4)]
STREAM = [STEM[3], "patch_embed.positional_encoding.conv_bn.block.0"]
STREAM += ["blocks.0.attn.proj_conv_bn.0", "blocks.0.mlp.fc2.0"]
SPIKFORMER_TIED = [[STEM[0]], [STEM[1]], [STEM[2]], STREAM, ["blocks.0.mlp.fc1.0"]]
QKV = "blocks.0.attn.qkv_conv_bn.0"


def vgg11() -> Any:
    with torch.device("meta"):  # its linear layers hold 120 million parameters: narrower ones take their place
        network = spiking_vgg.spiking_vgg11_bn(num_classes=10, **LIF)
    for place, sizes in ((0, (512 * 7 * 7, 64)), (3, (64, 48)), (6, (48, 10))):
        network.classifier[place] = layer.Linear(*sizes)
    return network.to_empty(device="cpu")


def small_spikformer() -> Any:
    sizes = {"img_size_h": 16, "img_size_w": 16, "patch_size": 4, "embed_dims": 24, "num_heads": 4}
    return spikformer.Spikformer(num_classes=10, depths=1, **sizes, **LIF)


class Case(NamedTuple):
    build: Callable[[], Any]
    pixels: int
    tied: list[list[str]]
    head: str
    skipped: tuple[str, ...] = ()


ZOO = {
    "sew_resnet18": Case(lambda: sew_resnet.sew_resnet18(cnf="ADD", num_classes=10, **LIF), 32, RESNET_TIED, "fc"),
    "spiking_resnet18": Case(lambda: spiking_resnet.spiking_resnet18(num_classes=10, **LIF), 32, RESNET_TIED, "fc"),
    "spiking_vgg11_bn": Case(vgg11, 32, VGG_TIED, "classifier.6"),
    "ms_resnet18": Case(lambda: ms_resnet.ms_resnet18(num_classes=10, **LIF), 32, MS_TIED, "head"),
    "max_resnet": Case(
        lambda: ms_resnet.MaxResNet(layers=(1, 1, 1), base_channels=16, num_classes=10, **LIF), 32, MAX_TIED, "head"
    ),
    "spikformer": Case(small_spikformer, 16, SPIKFORMER_TIED, "head", skipped=(QKV,)),
}


def awake(case: Case, steps: int = 2) -> tuple[nn.Module, Tensor]:
    """Return a network whose every layer fires, in evaluation mode, and an input."""
    torch.manual_seed(0)
    x_TBCHW = torch.rand(steps, 2, 3, case.pixels, case.pixels, dtype=torch.float64)
    network = case.build()
    functional.set_step_mode(network, "m")
    network.double()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                module.reset_running_stats()
                nn.init.uniform_(module.weight, 1.0, 3.0)
                nn.init.uniform_(module.bias, 0.0, 2.0)
                module.momentum = 1.0
            elif isinstance(module, nn.Conv2d | nn.Conv1d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, 4.0 / module.weight[0].numel() ** 0.5)
                if module.bias is not None:
                    nn.init.uniform_(module.bias, 0.0, 3.0)
        run_any_output(network.train(), x_TBCHW)
    functional.reset_net(network)
    return network.eval(), x_TBCHW


def outputs(network: nn.Module, x_TBCHW: Tensor) -> tuple[Tensor, float]:
    """Return what the network returns, and spikes per neuron and step of the layer that fires least."""
    rates: list[float] = []
    neurons = [module for module in network.modules() if isinstance(module, neuron.BaseNode)]
    hooks = [node.register_forward_hook(lambda _, __, s: rates.append(s.mean().item())) for node in neurons]
    with torch.no_grad():
        found = run_any_output(network, x_TBCHW)
    for hook in hooks:
        hook.remove()
    assert len(rates) == len(neurons)
    return found, min(rates)


def silenced(network: nn.Module, gone: dict[str, list[int]], x_TBCHW: Tensor) -> Tensor:
    """Return the outputs while hooks take channels of layers away, behind the batch norm that follows each.

    A neuron without drive is silent; apart from neurons, only additions and pooling follow.
    """
    modules = list(network.named_modules())
    hooks = []
    for place, (name, module) in enumerate(modules):
        if name in gone:
            norm = modules[place + 1][1]
            is_norm = isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
            after = norm if is_norm else next((m for n, m in modules if n == name.replace("conv", "bn")), module)
            axis = {nn.Linear: -1, nn.BatchNorm1d: -2, nn.BatchNorm2d: -3}
            channels = next(where for kind, where in axis.items() if isinstance(after, kind))
            index = torch.tensor(gone[name])
            hooks.append(after.register_forward_hook(lambda _, __, y, c=channels, i=index: y.index_fill(c, i, 0.0)))
    with torch.no_grad():
        found = run_any_output(network, x_TBCHW)
    for hook in hooks:
        hook.remove()
    return found


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def keep_of(plan: ChannelPlan) -> dict[str, list[int]]:
    """Keep channels 0, 3, 6, ... of some groups and 1, 3, 5, ... of the others."""
    return {g.name: list(range(i % 2, g.width, 3 - i % 2)) for i, g in enumerate(plan.groups)}


@pytest.mark.filterwarnings("ignore:Products of two activations")
@pytest.mark.parametrize("name", ZOO)
def test_silenced_equals_removed_and_measures_alike(name: str) -> None:
    case = ZOO[name]
    network, x_TBCHW = awake(case)
    plan = ChannelPlan.trace(network, x_TBCHW[:, :1], skip_unsupported=bool(case.skipped))
    assert sorted(sorted(g.layers) for g in plan.groups) == sorted(sorted(layers) for layers in case.tied)
    assert case.head not in {layer for group in plan.groups for layer in group.layers}
    keep = keep_of(plan)
    small = shrink(network, keep, x_TBCHW, skip_unsupported=bool(case.skipped))
    found, rate = outputs(small, x_TBCHW)
    gone = {
        layer: [c for c in range(group.width) if c not in keep[group.name]]
        for group in plan.groups
        for layer in group.layers
    }
    torch.testing.assert_close(found, silenced(network, gone, x_TBCHW), rtol=0, atol=1e-9)
    dense, dense_rate = outputs(network, x_TBCHW)
    assert found.shape == dense.shape  # the classifier is whole
    assert (found - dense).abs().max() > 0.1
    assert min(rate, dense_rate) > 0.01
    assert parameters(small) < 0.7 * parameters(network)

    removed = measure(small, x_TBCHW)
    masked = measure(plan.mask(network, keep), x_TBCHW)
    assert removed.total == pytest.approx(masked.total, rel=1e-12)
    assert 0 < removed.total < 0.8 * measure(network, x_TBCHW).total
    operations = {each: figures.operations for each, figures in removed.layers.items()}
    assert operations == pytest.approx({each: figures.operations for each, figures in masked.layers.items()})


def measure(network: nn.Module, x_TBCHW: Tensor) -> Any:
    return measure_synops(network, [x_TBCHW], first_layer="add")


def test_attention_is_refused_by_name_or_left_alone() -> None:
    network, x_TBCHW = awake(ZOO["spikformer"])
    with pytest.raises(SurgeryError, match=f"layer '{QKV}' cannot be followed .* found View"):
        channel_groups(network, x_TBCHW)
    plan = ChannelPlan.trace(network, x_TBCHW, skip_unsupported=True)
    assert list(plan.skipped) == [QKV]
    assert f"layer '{QKV}' cannot be followed" in plan.skipped[QKV]
    assert [group.name for group in plan.groups] == [
        group.name for group in channel_groups(network, x_TBCHW, skip_unsupported=True)
    ]


def test_widths_that_heads_depend_on_stay() -> None:
    """QKFormer divides the width of what its attention *reads* among heads: only running it without can tell."""
    sizes = {"embed_dims": 48, "num_heads": (3, 3, 3), "depths": (1, 1, 1)}
    case = Case(lambda: qkformer.QKFormer(num_classes=10, **sizes, **LIF), 32, [], "head")
    network, x_TBCHW = awake(case)
    plan = ChannelPlan.trace(network, x_TBCHW, skip_unsupported=True)
    assert "does not run without some of its channels" in plan.skipped["stage1.0.attn.proj_conv_bn.0"]
    assert "cannot be followed" in plan.skipped["stage1.0.attn.qk_conv_bn.0"]
    names = [group.name for group in plan.groups]
    assert {"patch_embed1.conv1", "stage1.0.mlp.fc1", "stage2.0.mlp.fc1", "stage3.0.mlp.fc1"} <= set(names)
    assert not {layer for group in plan.groups for layer in group.layers} & set(plan.skipped)
    with pytest.raises(SurgeryError, match=r"no group that is called 'patch_embed1.conv3'"):
        plan.shrink(network, {"patch_embed1.conv3": [0]})
    keep = keep_of(plan)
    (found, rate), (expected, _) = (
        outputs(plan.shrink(network, keep), x_TBCHW),
        outputs(plan.mask(network, keep), x_TBCHW),
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert rate > 0.0


def test_the_first_group_can_stay() -> None:
    network, x_TBCHW = awake(ZOO["sew_resnet18"])
    every, later = (ChannelPlan.trace(network, x_TBCHW, prune_first=first).groups for first in (True, False))
    assert "conv1" in every[0].layers
    assert later == every[1:]


def test_a_network_with_a_fixed_number_of_steps_is_refused() -> None:
    network = layer.TemporalWiseAttention(T=4, reduction=2)
    network = nn.Sequential(layer.Conv2d(3, 4, 3, step_mode="m"), network, layer.Flatten(step_mode="m"))
    with pytest.raises(SurgeryError, match=r"one step of it in multi-step mode, .* no fixed number of steps"):
        channel_groups(network, torch.rand(4, 1, 3, 8, 8), skip_unsupported=True)
