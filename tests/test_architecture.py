"""Packages import only from those above them, and never in a circle."""

from __future__ import annotations

import itertools

import grimp
import pytest

ORDER = (
    "errors", "trace", "types", "protocols", "resources", "text", "config", "prompts", "testing",
    "runtime", "models", "openai_client", "encoders", "rerankers", "detectors", "translators", "taggers", "generators",
    "indexes", "stores", "retrievers", "pipeline", "strategies", "application", "evaluation", "distributed", "vllm",
    "server", "cli", "__main__",
)  # fmt: skip
"""The packages and top files of qttrag, from the top down."""

INSIDE = {
    "indexes": ("recipe", "sources", "storage", "ann", "collection", "jobs"),
    "evaluation": ("statistics", "datasets", "metrics", "suites", "runs", "report", "stages"),
}
"""The same for what is inside a package."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("qttrag", exclude_type_checking_imports=False, cache_dir=None)


def upward(graph: grimp.ImportGraph, parent: str, order: tuple[str, ...]) -> list[str]:
    """Return the imports against `order`, as "importer -> imported"."""
    packages = [f"{parent}.{name}" for name in order]
    members = {name: {name, *graph.find_descendants(name)} for name in packages if name in graph.modules}
    return [
        f"{importer} -> {imported}"
        for above, below in itertools.combinations([name for name in packages if name in members], 2)
        for importer in sorted(members[above])
        for imported in sorted(graph.find_modules_directly_imported_by(importer) & members[below])
    ]


def test_every_package_has_its_place_in_the_order(graph: grimp.ImportGraph) -> None:
    assert {name.split(".")[1] for name in graph.find_children("qttrag")} <= set(ORDER)


def test_packages_import_only_from_those_above_them(graph: grimp.ImportGraph) -> None:
    assert upward(graph, "qttrag", ORDER) == []


@pytest.mark.parametrize("package", INSIDE)
def test_inside_a_package_imports_go_upward(graph: grimp.ImportGraph, package: str) -> None:
    children = {name.rsplit(".", 1)[1] for name in graph.find_children(f"qttrag.{package}")}
    assert children <= set(INSIDE[package])
    assert upward(graph, f"qttrag.{package}", INSIDE[package]) == []


def test_no_module_imports_itself_by_way_of_others(graph: grimp.ImportGraph) -> None:
    circles = [
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if graph.find_shortest_chain(imported, module)
    ]
    assert circles == []
