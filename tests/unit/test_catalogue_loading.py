"""Loading a catalogue: users' own files, and errors that name the invalid row."""

import runpy
import shutil
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from afterthought.catalogue import Catalogue, CatalogueError, default_catalogue, load
from afterthought.catalogue.loader import DEFAULT_DIRECTORY
from afterthought.domain.models.model import Model
from afterthought.domain.models.provider import ProviderLimits

TODAY = date(2026, 11, 21)

Edit = Callable[[str], str]

MODEL = """
[[model]]
id = "ours"
snapshots = ["ours-1"]
created = 2026-08-01
reasoning = true
context_window_input = 1000
max_output_tokens = 100
typical_output_tokens = 50
efforts = ["low", "high"]
default_effort = "low"
input_modalities = ["text"]
tools = true
parallel_tool_calls = false
structured_outputs = true
prices = [
    { tier = "standard", from = 2026-08-01, input = "0", output = "0" },
    { tier = "standard", from = 2026-08-01, above_input_tokens = 500, input = "0.5", output = "1" },
]
"""
PROVIDER = """
[[provider]]
name = "ours"
base_url = "https://llm.example.com/v1"
mode = "direct"
modes = { ours = "background" }
names = { ours = "vendor/ours" }
direct_seconds = 30
models = ["ours"]
shutdown = { ours = 2027-01-01 }
limits = { "*" = { requests_per_minute = 60 }, ours = { requests_per_minute = 7, tokens_per_minute = 900 } }
"""
TIERS = """
[[tier]]
name = "only"
requests_per_minute = 1
tokens_per_minute = 1000
"""


def model(catalogue: Catalogue, name: str) -> Model:
    result = catalogue.find(name)
    assert result is not None
    return result


def write(directory: Path, *, model: str = MODEL, provider: str = PROVIDER, tiers: str = TIERS) -> Path:
    (directory / "models").mkdir(exist_ok=True)
    (directory / "providers").mkdir(exist_ok=True)
    (directory / "models" / "mine.toml").write_text(model, encoding="utf-8")
    (directory / "providers" / "mine.toml").write_text(provider, encoding="utf-8")
    (directory / "tiers.toml").write_text(tiers, encoding="utf-8")
    return directory


def test_own_model_may_be_free(tmp_path: Path) -> None:
    catalogue = load(write(tmp_path))
    assert model(catalogue, "ours-1").price("standard", 500, TODAY).output == 0
    assert model(catalogue, "ours").created == 1_785_542_400
    provider = catalogue.provider_for("ours", ["ours"], TODAY)
    assert provider is not None
    assert (provider.mode_for("ours"), provider.mode) == ("background", "direct")


def test_own_files_are_loaded_too(tmp_path: Path) -> None:
    shutil.copytree(DEFAULT_DIRECTORY, tmp_path, dirs_exist_ok=True)
    (tmp_path / "models" / "zz-mine.toml").write_text(MODEL.replace("prices =", 'successor = "o3"\nprices ='))
    (tmp_path / "providers" / "aa-mine.toml").write_text(PROVIDER)
    catalogue = load(tmp_path)
    assert set(catalogue.models) == {*default_catalogue().models, "ours"}
    assert not catalogue.providers["openai"].lists("ours")
    assert catalogue.providers["standin"].lists("ours")


def test_last_shutdown_retires_a_model(tmp_path: Path) -> None:
    other = PROVIDER.replace('name = "ours"', 'name = "theirs"').replace("2027-01-01", "2026-12-01")
    catalogue = load(write(tmp_path, provider=PROVIDER + other))
    enabled = ["theirs", "ours"]
    assert catalogue.shutdown_date("ours", enabled) == date(2027, 1, 1)
    assert catalogue.provider_for("ours", enabled, date(2026, 12, 1)) is catalogue.providers["ours"]
    assert not catalogue.retired_everywhere("ours", enabled, date(2026, 12, 31))
    assert catalogue.retired_everywhere("ours", enabled, date(2027, 1, 1))


def test_readme_example_loads(tmp_path: Path) -> None:
    shutil.copytree(DEFAULT_DIRECTORY, tmp_path, dirs_exist_ok=True)
    blocks = [block.split("```")[0] for block in (tmp_path / "README.md").read_text().split("```toml\n")[1:]]
    (tmp_path / "models" / "ours.toml").write_text(blocks[0])
    (tmp_path / "providers" / "ours.toml").write_text(blocks[1])
    example = load(tmp_path)
    assert example.provider_for("llama-local-2026-08", ["openai", "ours"], TODAY) is example.providers["ours"]
    assert not model(example, "llama-local").price("standard", 1, TODAY).input


def swap(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


def duplicated(text: str) -> str:
    return text + text


ROW = "models/mine.toml: model ours: price row 1 \\(standard from 2026-08-01\\): "


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (swap(', output = "0" }', " }"), ROW + "output: Field required"),
        (swap('input = "0"', "input = 0.25"), ROW + "input must be a string"),
        (swap('input = "0"', "input = 0"), ROW + "input must be a string"),
        (swap('input = "0"', 'input = "-1"'), ROW + "input: .*greater than or equal to 0"),
        (swap('input = "0"', 'input = "nan"'), ROW + "input: .*finite"),
        (swap('input = "0"', 'input = "dear"'), ROW + "input: .*decimal"),
        (swap('input = "0"', 'inputs = "0"'), ROW + "input: Field required; inputs: Extra"),
        (
            swap('tier = "standard"', 'tier = "turbo"'),
            r"price row 1 \(turbo from 2026-08-01\): tier: .*'priority'",
        ),
        (swap("from = 2026-08-01", 'from = "2026-08-01"'), "price row 1 .*from must be a date"),
        (swap("from = 2026-08-01", "from = 2026-08-01T00:00:00Z"), "price row 1 .*from must be a date"),
        (swap("from = 2026-08-01, ", ""), r"price row 1 \(standard from None\): from must be a date"),
        (swap("above_input_tokens = 500, ", ""), "model ours: .*ours/standard/2026-08-01: overlaps another row"),
        (swap("= 500", '= "500"'), "price row 2 .*above_input_tokens must be a whole number"),
        (swap("= 500", "= -1"), "price row 2 .*above_input_tokens: .*greater"),
        (
            swap("01, input", "01, above_input_tokens = 9, input"),
            "model ours: .*standard from 2026-08-01: none for short",
        ),
        (lambda text: text.replace('"standard"', '"flex"'), "model ours: prices: no row of the standard tier"),
        (lambda text: text.split("prices =")[0], "model ours: prices: no row of the standard tier"),
        (lambda text: text.split("prices =")[0] + 'prices = "cheap"', "model ours: prices must be a list"),
        (
            lambda text: text.split("prices =")[0] + 'prices = ["cheap"]',
            "model ours: price row 1: must be an inline table",
        ),
        (swap('"high"]', '"extreme"]'), "model ours: efforts.1: .*'xhigh'"),
        (swap('"high"]', '"low"]'), "model ours: efforts: one is listed twice"),
        (swap('default_effort = "low"', 'default_effort = "max"'), "model ours: default_effort: max is not among"),
        (
            swap("reasoning = true", "reasoning = false"),
            "model ours: efforts: must be empty for a model without reasoning",
        ),
        (
            swap("tools = true\nparallel_tool_calls = false", "tools = false\nparallel_tool_calls = true"),
            "the model has no tools",
        ),
        (swap('["text"]', '["smell"]'), "model ours: input_modalities.0: "),
        (swap('["text"]', "[]"), "model ours: input_modalities: .*at least 1"),
        (swap("= 1000", "= 0"), "model ours: context_window_input: .*greater than 0"),
        (swap("max_output_tokens = 100\n", ""), "model ours: max_output_tokens: Field required"),
        (swap("typical_output_tokens = 50\n", ""), "model ours: typical_output_tokens: Field required"),
        (
            swap("typical_output_tokens = 50", "typical_output_tokens = 0"),
            "typical_output_tokens: .*greater than 0",
        ),
        (
            swap("typical_output_tokens = 50", "typical_output_tokens = 101"),
            "model ours: typical_output_tokens: more than max_output_tokens, 100",
        ),
        (swap("created = 2026-08-01", "created = 1785542400"), "model ours: created must be a date"),
        (
            swap("tools = true", 'tools = true\nsuccessor = "theirs"'),
            "model ours: successor theirs is not a model",
        ),
        (swap("tools = true", 'tools = true\nsuccessor = "ours"'), "model ours: its successors form a cycle"),
        (
            swap('["ours-1"]', '["ours"]'),
            "model ours: snapshot ours is already the name of models/mine.toml: model ours",
        ),
        (swap('["ours-1"]', '["a", "a"]'), "model ours: snapshot a is already the name of"),
        (swap("tools = true", "tools = true\ntolls = true"), "model ours: tolls: Extra"),
        (duplicated, "models/mine.toml: model ours: is already in models/mine.toml"),
        (swap('id = "ours"', "id = 7"), "models/mine.toml: model number 1: id must be a string"),
        (swap('id = "ours"\n', ""), "models/mine.toml: model number 1: id must be a string"),
        (swap("[[model]]", "[[modell]]"), r"models/mine.toml: has modell; only \[\[model\]\]"),
        (swap("[[model]]", "[model]"), "models/mine.toml: model must be a list of tables"),
        (swap("[[model]]", "[[model"), "models/mine.toml: cannot be read: .*line 2"),
        (lambda _: "", "contains no model"),
    ],
)
def test_invalid_model_is_named(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        load(write(tmp_path, model=edit(MODEL)))


def test_limits_by_model(tmp_path: Path) -> None:
    provider = load(write(tmp_path)).providers["ours"]
    assert provider.limits_for("ours") == ProviderLimits(requests_per_minute=7, tokens_per_minute=900)
    assert provider.limits_for("another") == ProviderLimits(requests_per_minute=60)
    unlimited, _ = PROVIDER.split("limits")
    assert load(write(tmp_path, provider=unlimited)).providers["ours"].limits_for("ours") is None


def test_only_openai_has_limits() -> None:
    providers = default_catalogue().providers
    for model in providers["openai"].models:
        limits = providers["openai"].limits_for(model)
        assert limits == ProviderLimits(requests_per_minute=5_000, tokens_per_minute=2_000_000)
    assert providers["standin"].limits_for("gpt-5") is None


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (swap('models = ["ours"]', 'models = ["ours", "theirs"]'), "provider ours: theirs is not a model"),
        (swap('models = ["ours"]', 'models = "ours"'), "provider ours: models"),
        (
            swap("shutdown = { ours", "shutdown = { theirs"),
            "provider ours: shutdown: theirs is not among its models",
        ),
        (swap("modes = { ours", "modes = { theirs"), "provider ours: modes: theirs is not among its models"),
        (swap("names = { ours", "names = { theirs"), "provider ours: names: theirs is not among its models"),
        (swap('"vendor/ours"', '""'), "provider ours: names.ours: "),
        (swap("direct_seconds = 30", "direct_seconds = 841"), "provider ours: direct_seconds: "),
        (swap("direct_seconds = 30", "direct_seconds = 0"), "provider ours: direct_seconds: "),
        (
            swap(", ours = { requests", ", theirs = { requests"),
            "provider ours: limits: theirs is not among its models",
        ),
        (swap("= 900", "= 0"), "provider ours: limits.ours.tokens_per_minute: .*greater than 0"),
        (swap("{ requests_per_minute = 60 }", "{ }"), r"provider ours: limits.\*: needs requests_per_minute"),
        (swap('mode = "direct"', 'mode = "slow"'), "provider ours: mode: .*'direct'"),
        (swap("2027-01-01", '"some day"'), "provider ours: shutdown.ours: "),
        (swap("https://llm", "llm"), "provider ours: base_url: "),
        (swap('name = "ours"', 'name = "Our Own"'), "provider Our Own: name: "),
        (swap('mode = "direct"\n', ""), "provider ours: mode: Field required"),
        (duplicated, "provider ours: is already in providers/mine.toml"),
        (
            lambda text: text.replace('["ours"]', '"*"').replace("{ ours = 2", "{ theirs = 2"),
            "providers/mine.toml: provider ours: theirs is not a model of the catalogue",
        ),
        (
            lambda text: text.replace('["ours"]', '"*"').replace(", ours = { requests", ", theirs = { requests"),
            "providers/mine.toml: provider ours: theirs is not a model of the catalogue",
        ),
    ],
)
def test_invalid_provider_is_named(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        load(write(tmp_path, provider=edit(PROVIDER)))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (swap("tokens_per_minute = 1000\n", ""), "tiers.toml: tier only: a supported tier needs"),
        (
            swap('name = "only"', 'name = "only"\nsupported = false'),
            "tier only: an unsupported tier has no limits",
        ),
        (swap("= 1000", "= 0"), "tier only: tokens_per_minute: .*greater than 0"),
        (duplicated, "tier only: is already in tiers.toml"),
    ],
)
def test_invalid_rate_tier_is_named(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        load(write(tmp_path, tiers=edit(TIERS)))


def test_missing_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / "tiers.toml").unlink()
    with pytest.raises(CatalogueError, match=r"tiers\.toml: cannot be read"):
        load(tmp_path)


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["catalogue", *arguments])
    with pytest.raises(SystemExit) as exited:
        runpy.run_module("afterthought.catalogue", run_name="__main__")
    return exited.value.code


def test_command_prints_a_summary(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(monkeypatch) == 0
    assert "28 models" in capsys.readouterr().out


def test_command_names_stand_in_only_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, provider=PROVIDER.replace('mode = "direct"', 'mode = "direct"\nstand_in = true'))
    assert run_command(monkeypatch, str(tmp_path)) == 0
    assert "only by the stand-in: ours" in capsys.readouterr().out


def test_command_fails_for_invalid_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, model=swap(', output = "0" }', " }")(MODEL))
    assert run_command(monkeypatch, str(tmp_path)) == 1
    assert "model ours: price row 1 (standard from 2026-08-01): output: Field required" in capsys.readouterr().err
