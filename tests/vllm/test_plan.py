from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.config import deployment as config
from qttrag.errors import ConfigError
from qttrag.vllm.plan import PlannedServer, VllmSettings, load, plan

LLAMA, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct"
PAPER = (
    LLAMA, QWEN, "LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct", "LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct",
    "CohereLabs/aya-expanse-8b", "microsoft/phi-4",
)  # fmt: skip


def planned(*gpus: int, **changes: Any) -> list[PlannedServer]:
    return plan(config.load("served", changes), load(), gpus)


def flag(server: PlannedServer, name: str) -> str:
    return server.command[server.command.index(f"--{name}") + 1]


def test_the_papers_models_have_memory_and_licence() -> None:
    models = load().models
    assert set(PAPER) <= models.keys()
    assert all(models[name].licence and models[name].kv_mib_per_1000_tokens for name in PAPER)


def test_each_local_model_of_a_deployment_has_a_server() -> None:
    assert [(server.model, server.port) for server in planned(0, 1)] == [(LLAMA, 8001), (QWEN, 8000)]


def test_models_on_one_gpu_share_its_memory_by_weights() -> None:
    shares = [server.memory for server in planned(0)]
    assert sum(filter(None, shares)) <= 0.9
    assert [server.gpus for server in planned(0)] == [(0,), (0,)]


def test_a_model_alone_on_a_gpu_has_all_its_memory() -> None:
    assert [(server.gpus, server.memory) for server in planned(0, 1)] == [((0,), 0.9), ((1,), 0.9)]
    assert dict(planned(3)[0].environment)["CUDA_VISIBLE_DEVICES"] == "3"


def test_the_maximum_length_is_the_generators_context() -> None:
    generator = {"kind": "openai", "base_url": "http://127.0.0.1:8000/v1", "model": QWEN, "context": 4096}
    assert flag(planned(0, generator=generator)[1], "max-model-len") == "4096"


def test_flags_are_written_in_vllms_syntax() -> None:
    first = planned(0)[0]
    assert "--enable-prefix-caching" in first.command
    assert json.loads(flag(first, "structured-outputs-config"))["disable_any_whitespace"] is True
    assert flag(first, "served-model-name") == first.command[2] == LLAMA


def test_a_models_own_flags_override_the_common_ones() -> None:
    settings = VllmSettings.model_validate(
        {"flags": {"seed": 1, "x": True}, "models": {QWEN: {"flags": {"seed": 2, "x": False}}}}
    )
    server = plan(config.load("served"), settings, [])[1]
    assert flag(server, "seed") == "2"
    assert "--no-x" in server.command


def test_a_model_in_four_bits_is_quantised_while_it_loads_and_takes_less_memory() -> None:
    ours, reported = ({s.model: s for s in plan(config.load(name), load(), [0])} for name in ("served", "paper"))
    assert flag(reported[LLAMA], "quantization") == "bitsandbytes"
    assert "--quantization" not in ours[LLAMA].command
    assert reported[LLAMA].weights_gib < ours[LLAMA].weights_gib / 3


def test_one_server_does_not_run_a_model_in_two_precisions() -> None:
    shared = {"kind": "openai", "base_url": "http://127.0.0.1:8001/v1", "model": LLAMA}
    with pytest.raises(ConfigError, match="two kinds of `weights:`"):
        plan(config.load("paper", {"generator": {**shared, "weights": "checkpoint"}}), load(), [])


def test_without_a_gpu_no_gpu_memory_is_set() -> None:
    assert "--gpu-memory-utilization" not in planned()[0].command
    assert "VLLM_CPU_KVCACHE_SPACE" in dict(planned()[0].environment)


def test_an_api_key_is_in_the_environment_and_not_in_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    first = planned()[0]
    assert dict(first.environment)["VLLM_API_KEY"] == "sesame"
    assert "sesame" not in " ".join(first.command)


def test_several_addresses_are_several_servers() -> None:
    urls = ["http://127.0.0.1:8000/v1", "http://localhost:8002/v1", "http://elsewhere:8000/v1"]
    servers = planned(generator={"kind": "openai", "base_url": urls, "model": QWEN})
    assert [server.port for server in servers] == [8001, 8000, 8002]


def test_two_models_at_one_address_are_rejected() -> None:
    generator = {"kind": "openai", "base_url": "http://127.0.0.1:8001/v1", "model": QWEN}
    with pytest.raises(ConfigError, match=r"the address of both .*; change a port"):
        planned(generator=generator)


def test_a_deployment_without_local_servers_is_rejected() -> None:
    with pytest.raises(ConfigError, match="nothing to start"):
        plan(config.load("laptop"), load(), [])


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "v.yaml").write_text("comand: vllm\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="comand"):
        load(str(tmp_path / "v.yaml"))
