"""Packages import only from packages above them, and no imports form a circle."""

from __future__ import annotations

import graphlib
import itertools

import grimp
import pytest

ORDER = (
    "trace", "types", "errors", "protocols", "resources", "text", "config", "prompts", "testing",
    "runtime", "models", "openai_client", "encoders", "rerankers", "detectors", "translators", "taggers", "generators",
    "documents", "indexes", "stores", "retrievers", "pipeline", "strategies", "application", "evaluation",
    "distributed", "vllm", "server", "mcp", "cli", "__main__",
)  # fmt: skip
"""The packages and top-level modules of qttrag, from the top down. Imports for type checking count, too."""

INSIDE = {
    "indexes": ("recipe", "sources", "storage", "ann", "collection", "jobs"),
    "evaluation": (
        "answers",
        "extensions",
        "statistics",
        "document",
        "truth_replies",
        "datasets",
        "metrics",
        "suites",
        "runs",
        "judges",
        "report",
        "stages",
    ),
}
"""The order of the modules and subpackages inside a package."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("qttrag", exclude_type_checking_imports=False, cache_dir=None)


def upward(graph: grimp.ImportGraph, parent: str, order: tuple[str, ...]) -> list[str]:
    """Return the imports against `order`, as "importer -> imported"."""
    packages = [name for child in order if (name := f"{parent}.{child}") in graph.modules]
    members = {name: {name, *graph.find_descendants(name)} for name in packages}
    return [
        f"{importer} -> {imported}"
        for above, below in itertools.combinations(packages, 2)
        for importer in sorted(members[above])
        for imported in sorted(graph.find_modules_directly_imported_by(importer) & members[below])
    ]


def imports_between_children(graph: grimp.ImportGraph, parent: str) -> dict[str, set[str]]:
    """Return which children of a package import which others, each child with all its descendants."""
    child_of = {
        module: child
        for child in graph.find_children(parent)
        for module in (child, *graph.find_descendants(child))
    }  # fmt: skip
    imports: dict[str, set[str]] = {child: set() for child in child_of.values()}
    for module, child in child_of.items():
        imported = {child_of.get(name, child) for name in graph.find_modules_directly_imported_by(module)}
        imports[child] |= imported - {child}
    return imports


def test_every_package_has_a_place_in_the_order(graph: grimp.ImportGraph) -> None:
    assert {name.split(".")[1] for name in graph.find_children("qttrag")} <= set(ORDER)


def test_packages_import_only_from_packages_above_them(graph: grimp.ImportGraph) -> None:
    assert upward(graph, "qttrag", ORDER) == []


@pytest.mark.parametrize("package", INSIDE)
def test_imports_inside_a_package_go_upward(graph: grimp.ImportGraph, package: str) -> None:
    children = {name.rsplit(".", 1)[1] for name in graph.find_children(f"qttrag.{package}")}
    assert children <= set(INSIDE[package])
    assert upward(graph, f"qttrag.{package}", INSIDE[package]) == []


def test_the_children_of_no_package_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    for package in sorted(graph.modules):
        graphlib.TopologicalSorter(imports_between_children(graph, package)).prepare()  # raises CycleError


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError
