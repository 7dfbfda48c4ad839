"""The estimates for an ESP32 are within their goals, and say that they are estimates."""

from __future__ import annotations

from tests.benchmarks import esp32_latency


def test_estimates_are_within_their_goals() -> None:
    rows = esp32_latency.rows()
    assert len(rows) == 5
    for row in rows:
        assert 0 < row.latency_ms < row.goal_ms, row
        assert row.basis.startswith("estimate: ")
        assert "from flash" in row.basis
        assert row.packed_share == 0.0625
