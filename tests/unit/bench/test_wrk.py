"""wrk's report as numbers."""

from __future__ import annotations

import pytest

from bench.wrk import Load, parse
from local.errors import MantaError

REPORT = """Running 6s test @ http://127.0.0.1:8000/predict
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    26.22ms   12.83ms 125.46ms   78.42%
    Req/Sec     2.48k   344.62     3.06k    73.33%
  Latency Distribution
     50%   23.91ms
     75%   31.70ms
     90%   41.17ms
     99%    1.05s
  14894 requests in 6.01s, 3.52MB read
{errors}Requests/sec:   2478.98
Transfer/sec:    599.24KB
"""


def test_rates_latencies_and_errors_are_read_in_their_units():
    assert parse(REPORT.format(errors="")) == Load(answers=14894, rate=2478.98, p50=23.91, p99=1050.0, errors=0, lost=0)
    lost = "  Socket errors: connect 1, read 20, write 300, timeout 4000\n"
    failing = parse(REPORT.format(errors=lost + "  Non-2xx or 3xx responses: 17\n"))
    assert (failing.errors, failing.lost) == (17, 4321)
    assert parse(REPORT.replace("23.91ms", "812.00us").format(errors="")).p50 == pytest.approx(0.812)


def test_a_report_without_a_figure_is_an_error_that_shows_it():
    with pytest.raises(MantaError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:8000 Connection refused")
