"""Config of a bench, checked before anything is trained, and the cells that it defines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from falw_cli.config.file import parse_yaml, relative_to, validated
from falw_cli.config.resolution import NAMES
from falw_cli.config.settings import Config, Positive, Preprocessing, Range, Section, TrainRecipe
from falw_cli.errors import RequestError
from falw_cli.models import architectures
from falw_cli.unlearning.resolution import base_rate, with_method_defaults

Ratio = Annotated[float, Field(gt=0, lt=1)]
Gamma = Annotated[float, Field(ge=0, le=100)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Dataset(Section):
    """Sources of the samples, and the recipe that trains models on them."""

    data: str
    heldout: str
    test: str | None = None
    per_class: dict[Literal["data", "heldout", "test"], Range] = {}
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing = Preprocessing()
    train: TrainRecipe = TrainRecipe()


class Entries(Section):
    """Methods and weightings to measure, in all combinations, with the same settings."""

    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    weightings: tuple[str, ...] = ()
    """Default: each method's own weighting."""
    name: str | None = None
    """Name in tables; default: `method x weighting`."""
    unlearn: dict[str, Any] = {}
    """Settings of the section `unlearn` of falw.yaml."""
    search: bool = True
    """Whether to search the learning rate; otherwise `unlearn` or the method's default sets it."""
    ratios: tuple[Ratio, ...] | None = None
    """Subset of the bench's ratios; default: all."""
    gammas: tuple[Gamma, ...] | None = None
    """Subset of the bench's gammas; default: all."""


class Search(Section):
    """Search of learning rates, on a seed that is not scored."""

    rule: Literal["reference", "reference-free"] = "reference"
    """reference: the smallest Avg. Gap to Retrain, as in papers. reference-free: --lr auto in each
    run, as in practice."""
    seed: Seed = 0
    ratio: Ratio = 0.1
    gamma: Gamma = 1.0
    factors: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.1, 0.3, 1.0, 3.0)
    """Factors on the method's own learning rate."""


class Bench(Section):
    """A grid: datasets x architectures x ratios x gammas x entries x seeds."""

    datasets: Annotated[dict[str, Dataset], Field(min_length=1)]
    archs: Annotated[tuple[str, ...], Field(min_length=1)]
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=1)]
    gammas: Annotated[tuple[Gamma, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    references: Annotated[int, Field(ge=2)] = 2
    """Number of Retrain models per list; the noise floor needs at least two."""
    entries: Annotated[tuple[Entries, ...], Field(min_length=1)]
    search: Search = Search()
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda)$")] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    @field_validator("seeds", "ratios", "gammas", "archs")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("a value is listed twice")
        return values


@dataclass(frozen=True)
class Scenario:
    """A forget list of the bench, and its models."""

    dataset: str
    arch: str
    ratio: float
    gamma: float
    seed: int

    def __str__(self) -> str:
        share = f"{100 * self.ratio:g} %, gamma {self.gamma:g}"
        return f"{self.dataset}, {self.arch}, {share}, seed {self.seed}"


@dataclass(frozen=True)
class Entry:
    """A row of the tables: a method, a weighting and settings; `config.unlearn` is complete."""

    label: str
    config: Config = field(hash=False, compare=False)
    search: bool = field(compare=False)
    ratios: tuple[float, ...] | None = field(compare=False)
    gammas: tuple[float, ...] | None = field(compare=False)

    @property
    def method(self) -> str:
        """The base method's name."""
        return self.config.unlearn.method

    @property
    def weighting(self) -> str:
        """The weighting's name."""
        return self.config.unlearn.weighting or "none"

    def rates(self, search: Search) -> tuple[float, ...]:
        """Return the learning rates to search."""
        own = base_rate(self.config)
        return tuple(own * factor for factor in search.factors)

    def wants(self, scenario: Scenario) -> bool:
        """Return whether the entry is measured on this list."""
        return (self.ratios is None or scenario.ratio in self.ratios) and (
            self.gammas is None or scenario.gamma in self.gammas
        )


def read(file: Path) -> Bench:
    """Read a bench config; its paths are relative to its folder.

    Raises:
        RequestError: the file cannot be read, a key is unknown, or a value is out of range.
    """
    content, lines = parse_yaml(file)
    if isinstance(content.get("datasets"), dict):
        content["datasets"] = {
            name: relative_to(file.parent, one, NAMES) if isinstance(one, dict) else one
            for name, one in content["datasets"].items()
        }
    return validated(Bench, content, file, lines)


def entries(bench: Bench) -> list[Entry]:
    """Return the entries that a bench measures.

    Raises:
        RequestError: an entry is invalid; raised before anything is trained.
    """
    found: list[Entry] = []
    for block in bench.entries:
        for method, weighting in product(block.methods, block.weightings or (None,)):
            settings = {**block.unlearn, "method": method, "weighting": weighting}
            if block.search and bench.search.rule == "reference-free":
                settings.setdefault("lr", "auto")
            config = _settled(bench, {k: v for k, v in settings.items() if v is not None})
            recipe = config.unlearn
            label = block.name or f"{method} x {recipe.weighting}"
            if any(entry.label == label for entry in found):
                raise RequestError(
                    f"two entries of the bench are called {label!r}", "give one of them a `name`"
                )
            search = block.search and bench.search.rule == "reference" and recipe.lr != "auto"
            found.append(Entry(label, config, search, block.ratios, block.gammas))
    for arch in bench.archs:
        architectures.builder(architectures.canonical(arch))
    return found


def _settled(bench: Bench, unlearn: dict[str, Any]) -> Config:
    dataset = next(iter(bench.datasets.values()))
    try:
        base = {"device": bench.device, "precision": bench.precision, "unlearn": unlearn}
        config = Config.model_validate(base)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][:2])
        raise RequestError(
            f"entry {unlearn['method']}: {where}: {first['msg']}", "correct the entry of the bench"
        ) from error
    return with_method_defaults(config, dataset.train)


def scenarios(bench: Bench) -> Iterator[Scenario]:
    """Yield the forget lists that are scored."""
    grid = product(bench.datasets, bench.archs, bench.ratios, bench.gammas, bench.seeds)
    for dataset, arch, ratio, gamma, seed in grid:
        yield Scenario(dataset, arch, ratio, gamma, seed)


def search_scenarios(bench: Bench) -> Iterator[Scenario]:
    """Yield the forget lists for the learning-rate search, with a seed that is not scored."""
    if bench.search.seed in bench.seeds:
        raise RequestError(
            f"search.seed {bench.search.seed} is one of the scored seeds", "use another search.seed"
        )
    search = bench.search
    for dataset, arch in product(bench.datasets, bench.archs):
        yield Scenario(dataset, arch, search.ratio, search.gamma, search.seed)
