"""The lifter's network: dilated convolutions over time, after VideoPose3D (Pavllo et al., CVPR 2019).

Names of parameters, order of layers and residual slices are that family's, so that its published weights load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn.functional import linear, pad, relu
from torch.nn.utils.fusion import fuse_conv_bn_eval


class TemporalNetwork(nn.Module):
    """Maps (B, T, inputs) to (B, T - field + 1, outputs); ``field`` frames make one.

    ``widths``: odd widths of the filters, the first's and each block's; dilations multiply up. ``causal``: a frame
    is made of those before it alone; else of as many on either side. Where ``field`` frames come in, nothing is
    computed that the one going out does not need, by strides instead of dilations.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: int,
        widths: Sequence[int],
        causal: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.widths, self.causal = tuple(widths), causal
        self.drop = nn.Dropout(dropout)
        self.expand_conv = nn.Conv1d(inputs, channels, widths[0], bias=False)
        self.expand_bn = nn.BatchNorm1d(channels, momentum=0.1)
        convolutions: list[nn.Module] = []
        norms: list[nn.Module] = []
        self.pads, self.shifts = [widths[0] // 2], [widths[0] // 2 if causal else 0]
        dilation = widths[0]
        for width in widths[1:]:
            self.pads.append((width - 1) * dilation // 2)
            self.shifts.append(width // 2 * dilation if causal else 0)
            convolutions.append(nn.Conv1d(channels, channels, width, dilation=dilation, bias=False))
            convolutions.append(nn.Conv1d(channels, channels, 1, bias=False))
            norms += [nn.BatchNorm1d(channels, momentum=0.1), nn.BatchNorm1d(channels, momentum=0.1)]
            dilation *= width
        self.layers_conv, self.layers_bn = nn.ModuleList(convolutions), nn.ModuleList(norms)
        self.shrink = nn.Conv1d(channels, outputs, 1)

    @property
    def field(self) -> int:
        """Frames that one output is made of."""
        return 1 + 2 * sum(self.pads)

    @property
    def before(self) -> int:
        """Frames before the one made that it needs; ``field - 1 - before`` after it."""
        return self.field - 1 if self.causal else (self.field - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        return self._one(x) if x.shape[1] == self.field else self._many(x)

    def _many(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        x = self.drop(relu(self.expand_bn(self.expand_conv(x))))
        for i in range(len(self.widths) - 1):
            beside, shift = self.pads[i + 1], self.shifts[i + 1]
            kept = x[:, :, beside + shift : x.shape[2] - beside + shift]
            x = self.drop(relu(self.layers_bn[2 * i](self.layers_conv[2 * i](x))))
            x = kept + self.drop(relu(self.layers_bn[2 * i + 1](self.layers_conv[2 * i + 1](x))))
        return self.shrink(x).transpose(1, 2)

    def _one(self, x: Tensor) -> Tensor:
        """(B, 1, outputs) of (B, field, inputs), channels last throughout, with which batch norms are much faster."""
        x = self.drop(relu(_stride(self.expand_conv, self.expand_bn, x)))
        for i, width in enumerate(self.widths[1:]):
            kept = x[:, width // 2 + (width // 2 if self.causal else 0) :: width]
            x = self.drop(relu(_stride(self.layers_conv[2 * i], self.layers_bn[2 * i], x)))
            x = kept + self.drop(relu(_stride(self.layers_conv[2 * i + 1], self.layers_bn[2 * i + 1], x)))
        return linear(x, self.shrink.weight[..., 0], self.shrink.bias)


def _stride(convolution: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """(B, T / width, channels) the convolution of (B, T, channels), by strides of its width, and the norm.

    What does not overlap is a product of matrices, which for so few frames is several times faster.
    """
    layer = cast(nn.Conv1d, convolution)
    apart = x.unflatten(1, (-1, layer.kernel_size[0])).flatten(2)
    made = linear(apart, layer.weight.transpose(1, 2).flatten(1), layer.bias)
    return cast(Tensor, norm(made.flatten(0, 1))).unflatten(0, made.shape[:2])


def fold(network: TemporalNetwork) -> nn.Module:
    """The network for use alone, each batch norm folded into the convolution before it: the same numbers, faster."""
    network = network.eval()
    folded = TemporalNetwork(1, 1, 1, network.widths, network.causal)
    folded.pads, folded.shifts, folded.shrink = network.pads, network.shifts, network.shrink
    folded.expand_conv = fuse_conv_bn_eval(network.expand_conv, network.expand_bn)
    blocks = zip(network.layers_conv, network.layers_bn, strict=True)
    folded.layers_conv = nn.ModuleList(
        fuse_conv_bn_eval(cast(nn.Conv1d, conv), cast(nn.BatchNorm1d, norm)) for conv, norm in blocks
    )
    folded.expand_bn = nn.Identity()  # type: ignore[assignment]
    folded.layers_bn = nn.ModuleList(nn.Identity() for _ in network.layers_bn)
    return folded.eval()


def widen(network: TemporalNetwork, widths: Sequence[int]) -> TemporalNetwork:
    """The network with filters of other ``widths``, none narrower, that at first gives the same numbers.

    The taps it gains begin at zero, on either side of those it had; of a causal network, before them.
    """
    inputs, channels = network.expand_conv.in_channels, network.expand_conv.out_channels
    wider = TemporalNetwork(inputs, network.shrink.out_channels, channels, widths, network.causal, network.drop.p)
    state = network.state_dict()
    for name, value in wider.state_dict().items():
        gained = value.shape[-1] - state[name].shape[-1] if value.ndim == 3 else 0
        if gained:
            state[name] = pad(state[name], (gained, 0) if network.causal else (gained // 2, gained // 2))
    wider.load_state_dict(state)
    return wider
