"""`cifar100:DIR`: CIFAR-100, stored as torchvision stores it; the ID is the row number."""

from falw_cli.data.arrays import cifar

source = cifar("CIFAR100")
