import os
import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from modelci.serving.metrics import (
    ERRORS,
    FAMILIES,
    IN_FLIGHT,
    LATENCY,
    REQUESTS,
    ROWS,
    Metrics,
    shared_memory,
)
from modelci.serving.refusal import Kind

INFO = {"artifact": "credit", "version": 'v1"\\\n', "release": "r", "flavour": "onnx"}


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_every_family() -> None:
    families = {one.name: one for one in text_string_to_metric_families(Metrics().text(INFO))}
    # Its reader takes `_total` off the name of a counter.
    expected = {one.name.removesuffix("_total"): one.type for one in FAMILIES}
    assert {name: families[name].type for name in expected} == expected
    assert families["modelci_model_info"].samples[0].labels == INFO
    assert all(one.documentation for one in families.values())


def test_requests_errors_and_rows_are_counted() -> None:
    metrics = Metrics()
    metrics.answered("infer", 200)
    metrics.answered("infer", 418)
    metrics.add(ERRORS, Kind.INVALID)
    metrics.add(ROWS, amount=10)
    found = samples(metrics.text(INFO))
    assert found["modelci_requests_total", ("infer", "200")] == 1
    assert found["modelci_requests_total", ("infer", "other")] == 1
    assert found["modelci_requests_total", ("records", "200")] == 0
    assert found["modelci_errors_total", ("invalid",)] == 1
    assert found["modelci_rows_total", ()] == 10


def test_a_histogram_counts_what_is_at_most_each_bound() -> None:
    metrics = Metrics()
    for seconds in (0.0001, 0.0005, 0.0006, 99.0):
        metrics.observe(LATENCY, seconds, "infer")
    found = samples(metrics.text(INFO))
    bucket = "modelci_request_seconds_bucket"
    assert found[bucket, ("infer", "0.00025")] == 1
    assert found[bucket, ("infer", "0.0005")] == 2
    assert found[bucket, ("infer", "0.001")] == 3
    assert found[bucket, ("infer", "30")] == 3
    assert found[bucket, ("infer", "+Inf")] == 4
    assert found["modelci_request_seconds_count", ("infer",)] == 4
    assert found["modelci_request_seconds_sum", ("infer",)] == 0.0001 + 0.0005 + 0.0006 + 99


def test_workers_count_in_rows_of_their_own_and_tell_the_sum() -> None:
    memory = shared_memory(3)
    one, other = Metrics(memory, slot=0, slots=3), Metrics(memory, slot=2, slots=3)
    one.answered("infer", 200)
    other.answered("infer", 200)
    assert one.total(REQUESTS, "infer", "200") == other.total(REQUESTS, "infer", "200") == 2
    os.close(memory)


def test_a_worker_that_takes_a_dead_ones_place_counts_on() -> None:
    memory = shared_memory(1)
    code = (
        "from modelci.serving.metrics import *; "
        f"metrics = Metrics({memory}); metrics.add(ROWS, amount=7); metrics.add(IN_FLIGHT)"
    )
    subprocess.run([sys.executable, "-c", code], pass_fds=[memory], check=True)
    after = Metrics(memory)
    assert after.total(ROWS) == 7
    # What the dead one was answering will never end.
    assert after.total(IN_FLIGHT) == 0
    os.close(memory)


def test_a_process_tells_what_it_takes_of_the_machine() -> None:
    metrics = Metrics()
    metrics.note_process()
    found = samples(metrics.text(INFO))
    assert 1e6 < found["modelci_resident_memory_bytes", ()] < 1e11
    assert found["modelci_cpu_seconds_total", ()] > 0
