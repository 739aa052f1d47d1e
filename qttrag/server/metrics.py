"""The metrics of a running service, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from qttrag.server.admission import Admission
    from qttrag.trace import Trace

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The metrics, in a registry of their own: a process may run several applications."""

    def __init__(self, admission: Admission) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "qttrag_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "qttrag_request_seconds", "Duration of requests", ["route"], registry=self.registry, buckets=_SECONDS
        )
        self.stage_seconds = Histogram(
            "qttrag_stage_seconds",
            "Duration of each stage of a question",
            ["strategy", "stage"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.counts = Counter(
            "qttrag_stage_events",
            "Counts of the stages: tokens, calls, cached, computed, scored, unscored by cause, ...",
            ["stage", "event"],
            registry=self.registry,
        )
        self.notes = Counter("qttrag_answers_with_notes", "Answers with notes", registry=self.registry)
        self.degraded = Counter(
            "qttrag_answers_degraded", "Answers that lack an unavailable stage", registry=self.registry
        )
        self.limit_failures = Counter(
            "qttrag_shared_limit_failures", "Times that limits shared between nodes failed", registry=self.registry
        )
        waiting = Gauge("qttrag_requests_waiting", "Requests waiting for a slot", registry=self.registry)
        waiting.set_function(lambda: admission.waiting)
        working = Gauge("qttrag_requests_in_flight", "Requests in progress", registry=self.registry)
        working.set_function(lambda: admission.working)
        self.streams = Gauge("qttrag_open_streams", "Streams being sent", registry=self.registry)

    def observe(self, strategy: str, trace: Trace) -> None:
        """Add the times and counts of one question."""
        for stage, seconds in trace.seconds.items():
            self.stage_seconds.labels(strategy, stage).observe(max(0.0, seconds))
        for name, n in trace.counts.items():
            stage, _, event = name.partition(".")
            self.counts.labels(stage, event).inc(n)
        self.notes.inc(bool(trace.notes))
        self.degraded.inc(bool(trace.degraded))

    def text(self) -> bytes:
        return generate_latest(self.registry)
