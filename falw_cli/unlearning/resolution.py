"""The complete request of an unlearning run, with method defaults and checkpoint metadata."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from falw_cli.config.settings import Config, Recipe, UnlearnRecipe
from falw_cli.errors import RequestError, unknown_name
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.network import with_metadata
from falw_cli.unlearning.interfaces import Settings, load_method, load_weighting

SGD_TO_ADAMW = 50
"""Ratio of learning rates with a similar effect: SGD with momentum at 0.05, AdamW at 0.001."""
OF_TRAINING = {"optimizer", "momentum", "weight_decay", "crop", "flip"}
"""Settings that unlearning inherits from training, unless its method has a default for them."""


def complete(config: Config, source: Checkpoint) -> Config:
    """Return the complete request of `unlearn`; later code adds no settings.

    Precedence: what was asked for, the method's defaults, the checkpoint's metadata, the defaults.

    Raises:
        RequestError: settings are incompatible, or metadata of an untrusted file names code.
    """
    said = source.metadata
    return with_method_defaults(with_metadata(config, source), said.recipe if said else None)


def with_method_defaults(config: Config, trained: Recipe | None = None) -> Config:
    """Return the config with the defaults of its base method for all that was not asked for.

    Args:
        config: what was asked for.
        trained: how the model was trained, from the checkpoint's metadata.

    Raises:
        RequestError: a weighting or a setting is incompatible with the method.
    """
    name = config.unlearn.method
    method = load_method(name)
    if config.no_retain and not method.retain_free:
        raise RequestError(
            f"method {name} needs retain samples, and --no-retain uses none",
            "leave out --method, or --no-retain",
        )
    given = config.unlearn.model_dump(exclude_unset=True)
    for key, value in method.fixed.items():
        if key in given and given[key] not in (value, None):
            raise RequestError(
                f"method {name} requires {key} {value}, not {given[key]}",
                f"leave out {key}, or use --method random-label",
            )
    defaults = {**method.defaults, **method.fixed}
    if "epochs" in given:
        defaults.pop("least_steps", None)
    training = trained.model_dump(include=OF_TRAINING) if trained else {}
    settled = config.over({"unlearn": training | defaults})
    if "lr" not in given and settled.unlearn.lr != "auto":
        recipe = settled.unlearn.model_copy(update={"lr": base_rate(settled)})
        settled = settled.model_copy(update={"unlearn": recipe})
    weighting = settled.unlearn.weighting
    if not method.weightable and weighting not in (None, "none"):
        raise RequestError(
            f"method {name} has no per-sample forget loss for weighting {weighting} to scale",
            "leave out --weighting, or use --weighting none",
        )
    if settled.unlearn.target_every > 1 and settled.unlearn.target == "streaming":
        raise RequestError(
            f"--target-every {settled.unlearn.target_every} needs an exact target, not streaming",
            "leave out --target-every, or use --target exact",
        )
    default = "falw" if method.weightable else "none"
    settled = settled.over({"unlearn": {"weighting": weighting or default}})
    hyperparameters(settled)
    return settled


def changed_flags(config: Config) -> list[str]:
    """Return which of --method, --epochs and --lr differ from the defaults.

    Args: config, complete.
    """
    recipe, method = config.unlearn, load_method(config.unlearn.method)
    usual = {
        "method": recipe.method == UnlearnRecipe.model_fields["method"].default,
        "epochs": recipe.epochs == {**method.defaults, **method.fixed}.get("epochs", recipe.epochs),
        "lr": recipe.lr in ("auto", base_rate(config)),
    }
    return [f"--{flag}" for flag, is_usual in usual.items() if not is_usual]


def base_rate(config: Config) -> float:
    """Return the method's own learning rate, converted to the config's optimizer."""
    method = load_method(config.unlearn.method)
    rate = method.search_from or method.defaults["lr"]
    own = method.defaults.get("optimizer", "sgd")
    if own != config.unlearn.optimizer:
        rate = rate / SGD_TO_ADAMW if own == "sgd" else rate * SGD_TO_ADAMW
    return float(rate)


def hyperparameters(config: Config) -> tuple[Settings, Settings]:
    """Return the hyperparameters of the config's method and of its weighting.

    Raises:
        RequestError: a name is unknown to both, or a value is out of range.
    """
    recipe = config.unlearn
    assert recipe.weighting is not None  # set by with_method_defaults
    method, weighting = load_method(recipe.method), load_weighting(recipe.weighting)
    kinds = [method.settings_type, weighting.settings_type]
    known = {name for kind in kinds for name in kind.model_fields}
    given: dict[str, Any] = dict(recipe.hyperparameters)
    for name in given:
        if name not in known:
            what = f"hyperparameter of {recipe.method} x {recipe.weighting}"
            hint = None if known else f"leave out {name}: there are no hyperparameters"
            raise unknown_name(what, name, known, hint)
    if "tau" in known:
        given.setdefault("tau", recipe.tau)
    made = [_made(kind, given) for kind in kinds]
    return made[0], made[1]


def _made(kind: type[Settings], given: dict[str, Any]) -> Settings:
    try:
        return kind.model_validate({k: v for k, v in given.items() if k in kind.model_fields})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise RequestError(
            f"hyperparameter {name}: {first['msg'][:1].lower()}{first['msg'][1:]} "
            f"(got {first['input']!r})",
            f"correct the value of {name}",
        ) from error
