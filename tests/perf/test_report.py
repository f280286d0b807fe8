"""perf/lib: from counters to figures, text and charts."""

import io
import pathlib
import sys
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "perf" / "lib"))

import local  # noqa: E402, F401 - that it can be loaded
import parts  # noqa: E402
import plot  # noqa: E402
import process  # noqa: E402
import progress  # noqa: E402
import report  # noqa: E402
import table  # noqa: E402

STATS = {"requests": {"a.vault.azure.net": {"get secrets": {"200": 5, "429": 1}, "list secrets": {"200": 2},
                                            "list versions of secrets": {"200": 3}},
                      "b.vault.azure.net": {"get secrets": {"200": 4}},
                      "login.microsoftonline.com": {"token": {"200": 7}},
                      "127.0.0.1": {"POST secrets": {"201": 6}, "PATCH secrets": {"200": 9},
                                    "PATCH secretsyncs/status": {"200": 8}, "list secretsyncs": {"200": 1}}},
         "vaults": {"a": {"throttled": 1}, "b": {"throttled": 2}}}


class Report(unittest.TestCase):
    def setUp(self):
        self.labels = report.requests_by_label(STATS)

    def test_requests_are_summed_over_hosts_and_answers(self):
        self.assertEqual(report.requests_of(self.labels, {"secret_probes": 2}),
                         {"get": 10, "list": 2, "versions": 3, "token": 7, "safety": None, "probe": 2})
        self.assertEqual(report.throttled_of(STATS), 3)

    def test_requests_to_one_vault(self):
        self.assertEqual(report.requests_by_label(STATS, "b."), {"get secrets": 4})

    def test_after_an_outage_its_end_is_found_out_and_what_is_left_is_read_at_the_vaults_pace(self):
        self.assertEqual([report.recovery_seconds(*one) for one in ((0, 40), (380, 40), (380, 0))], [10, 20, None])

    def test_safety_rereads_are_counted_apart(self):
        found = report.requests_of(self.labels, {"vault_safety_reads": 4})
        self.assertEqual((found["get"], found["safety"]), (6, 4))
        self.assertEqual(report.requests_of(self.labels, {"vault_safety_reads": 0})["get"], 10)

    def test_probes_and_settles_are_no_writes_of_secrets(self):
        self.assertEqual(report.writes_of(self.labels, {"secret_probes": 3, "secrets_settled": 2}),
                         {"secret": 10, "status": 8, "settle": 2})

    def test_differences(self):
        self.assertEqual(report.difference({"a": 5, "b": 2}, {"a": 3}), {"a": 2, "b": 2})

    def test_bound_is_what_the_quota_allows(self):
        self.assertEqual(report.bound_seconds(100000, 10, 280), 35.714)
        self.assertIsNone(report.bound_seconds(100000, 10, 0))
        # Ten vaults of one subscription have what five have; where the rate is low it does not matter.
        self.assertEqual(report.bound_seconds(100000, 10, 280, 10), 71.429)
        self.assertEqual(report.bound_seconds(100000, 10, 40, 10), 250)
        self.assertEqual(report.bound_seconds(100000, 2, 280, 10), 178.571)

    def test_a_vault_bears_what_azure_says_or_what_the_rate_is_most_of(self):
        self.assertEqual([report.quota_of(rate) for rate in (0, 40, 280, 560)], [None, 4000, 4000, 8000])
        self.assertEqual(round(report.pace_of_subscription(280)), 1400)
        self.assertEqual(report.per(0.5, 1000), 500)
        self.assertIsNone(report.per(1, 0))

    def test_mean_rate(self):
        samples = [(0, 0), (1, 10), (2, 30), (3, 90)]
        self.assertEqual(report.mean_rate(samples, 1, 3), 40)
        self.assertIsNone(report.mean_rate(samples, 1.5, 2.5))

    def test_rates_by_part(self):
        samples = [(0, 0), (1, 40), (2, 100), (4, 150), (6, 200)]
        self.assertEqual(report.rates_by_part(samples, 200, 2), [50, 25])
        self.assertEqual(report.rates_by_part(samples, 400, 2), [33, None])
        self.assertEqual(report.rates_by_part([(0, 0), (1, 100)], 100, 4), [100, 100, 100, 100])
        self.assertEqual(report.rates_by_part([], 100, 2), [None, None])

    def test_turns_beyond_a_bound(self):
        before = {"0.005": 10, "0.02": 12, "+Inf": 12}
        after = {"0.005": 30, "0.02": 33, "+Inf": 34}
        self.assertEqual(report.turns_over(after, before, (5, 20)), {"turns": 22, "over_5_ms": 2, "over_20_ms": 1})
        self.assertEqual(report.turns_over(after, {}, (20,)), {"turns": 34, "over_20_ms": 1})
        self.assertIsNone(report.turns_over({}, {}, (20,)))

    def test_pace(self):
        self.assertEqual([report.pace_of(rate) for rate in (280, 12, 1)], [278, 10.8, 0.9])

    def test_a_rotation_comes_to_every_vault(self):
        for percent, groups in ((1, 10), (1, 7), (5, 2), (100, 10), (50, 4)):
            step = report.spread_step(percent, groups)
            self.assertEqual({number * step % groups for number in range(groups)}, set(range(groups)))
            self.assertLess(abs(step - 100 / percent), 5)
        self.assertEqual(report.spread_step(1, 10), 101)

    def test_most_in_a_window(self):
        samples = [(0, 5), (4, 6), (9.9, 6), (10, 7), (14.5, 9), (30, 10)]
        self.assertEqual(report.most_in_window(samples, 10), 3)
        self.assertEqual(report.most_in_window(samples, 1), 1)
        self.assertEqual(report.most_in_window([], 10), 0)

    def test_text_names_every_figure_that_is_there(self):
        times = {"count": 3, "pending": 1, "p50": 0.5, "p99": 1, "max": 2}
        steady = {"seconds": 60, "rss_mib": 70.5, "requests": {"get": 1}, "writes": {"status": 0}}
        result = {"objects": 1000, "classes": 10, "layout": "shared", "vaults": 2, "identities": 3, "value_bytes": 9,
                  "bound_s": 2, "first_sync_s": 3, "syncs_per_s": 333, "cpu_us_per_sync": 250.5, "world_cpu_us_per_sync": 1,
                  "rss_mib": 60, "throttled": 4, "main_turn_max_ms": 5, "main_turn_cpu_max_ms": 2, "requests": {"get": 1000, "safety": None},
                  "writes": {"secret": 1000}, "steady": steady, "cpu_us_per_check": 9.5, "rotation": times,
                  "outage": {"seconds": 30, "trials": 3, "trials_per_10s": 1, "healthy_rate_before": 10, "healthy_rate_during": None,
                             "recovery_s": 12.5, "recovery_bound_s": None, "healthy_pace": None, "left": 70, "told": 6,
                             "ready_again_s": 13, "ready_again_bound_s": None, "requests": {"get": 71}},
                  "import_rotation": {"imported": 2000, "imported_before": 5, "imported_after": 1500, "throttled": 0, **times,
                                      "since_shown": times, "seconds": 9, "bound_s": 7, "requests": {"list": 33}},
                  "restart": {"ready_s": 1.5, "gets": 0, "writes": 0, "watched_s": 60},
                  "relist": {"seconds": 3, "main_turn_max_ms": 21, "main_turn_max_before_ms": 19, "main_turn_cpu_max_ms": 4,
                             "main_turns": {"turns": 5000, "over_5_ms": 17, "over_20_ms": 6}, "main_turns_cpu": None,
                             "livez_asked": 9, "livez_failed": 0, "livez_max_ms": 2, "rss_mib": 80}}
        text = report.text(result)
        for part in ("1,000 SecretSyncs", "1.50 x of the quota's bound", "250.5 us", "safety ?", "9.5 us", "1 never came",
                     "p99 1.000 s", "not measured", "ready after", "12.5 s", "2,000 SecretSyncs are imported", "from the list that shows it: 3 timed",
                     "21 ms (before it 19 ms), at most 4 ms of CPU", "17 of 5,000 over 5 ms, 6 over 20 ms"):
            self.assertIn(part, text)
        self.assertNotIn("new SecretSync", text)
        self.assertIn("no quota", report.text({**result, "bound_s": None}))


class Process(unittest.TestCase):
    def test_reads_prometheus_text(self):
        text = ("# HELP kvsync_vault_gets_total x\n# TYPE kvsync_vault_gets_total counter\nkvsync_vault_gets_total 12\n"
                'kvsync_objects_waiting{class="new"} 3\nkvsync_objects_waiting{class="retry"} 0\nprocess_cpu_seconds_total 1.5e-1\n'
                'kvsync_turn_seconds_bucket{thread="main",le="0.02"} 7\nkvsync_turn_seconds_bucket{thread="main",le="+Inf"} 8\n')
        metrics = process.parse_metrics(text)
        self.assertEqual(metrics, {"kvsync_vault_gets_total": 12, "kvsync_objects_waiting": {"new": 3, "retry": 0},
                                   "process_cpu_seconds_total": 0.15, "kvsync_turn_seconds_bucket": {"main": {"0.02": 7, "+Inf": 8}}})
        self.assertEqual(process.engine_counts(metrics), {"vault_gets": 12})


class Plot(unittest.TestCase):
    def test_is_svg_with_every_line(self):
        samples = [(0, 0, 10, 0, 0), (1, 50, 20, 0.5, 0.2), (2, 100, 30, 1, 0.9)]
        root = xml.etree.ElementTree.fromstring(plot.of_first_sync(samples, 100, 1.5))
        lines = root.findall(".//{http://www.w3.org/2000/svg}polyline")
        self.assertEqual(len(lines), 5)
        for line in lines:
            for point in line.get("points").split():
                x, y = map(float, point.split(","))
                self.assertTrue(0 <= x <= plot.WIDTH and 0 <= y <= 3 * plot.HEIGHT, point)

    def test_nothing_yet_is_no_error(self):
        xml.etree.ElementTree.fromstring(plot.svg([("a < b", {"none": []})]))

    def test_ticks_are_round_and_few(self):
        for high in (0.003, 1, 7, 35.7, 99999):
            self.assertTrue(2 <= len(plot.ticks(high)) <= 8, high)


class Table(unittest.TestCase):
    def test_given_figures_are_marked(self):
        part = next(part for part in parts.PARTS if part.name == "speed")
        lines = table.fleets(part, {"1,000": {"syncs_per_s": 900, "cpu_us_per_sync": 250.4, "rss_mib": 50.0, "world_cpu_us_per_sync": 9.5}}).splitlines()
        self.assertEqual(lines[2], "| kvsync, 1,000 | 900 | 250.4 us | 50 MiB | 9.5 us |")
        for line in lines[3:]:
            self.assertIn("(given)", line)
            self.assertEqual(line.count("|"), lines[0].count("|"))
        self.assertGreater(len(lines), 4)

    def test_a_run_is_a_column_and_what_no_run_has_is_left_out(self):
        part = parts.Part("p", "title", None, (("a", parts.figure("x", "y"), "s"), ("b", parts.figure("z"), ""),
                                               ("c", parts.times_bound(parts.figure("t"), parts.figure("u")), "x")))
        text = table.fleets(part, {"one": {"x": {"y": 2.5}, "t": 3, "u": 2}, "two": {"x": None}})
        self.assertEqual(text.splitlines(), ["| title | one | two |", "|---|---:|---:|", "| a | 2.5 s | - |", "| c | 1.5 x | - |"])

    def test_lists_side_by_side(self):
        text = table.lists([[["objects", "1000", ""], ["heap", "9.5", "bytes"]], [["objects", "1000", ""], ["heap", "12", "bytes"]]])
        self.assertEqual(text.splitlines()[2:], ["| objects | 1,000 | 1,000 |", "| heap | 9.5 bytes | 12 bytes |"])

    def test_micro_tells_the_ratio(self):
        self.assertIn("| a | 3 ns | b | 2 ns | 1.50 |", table.micro([["a", "3.0", "b", "2.0"]]))


class Progress(unittest.TestCase):
    def test_without_a_terminal_one_line_per_phase(self):
        stream = io.StringIO()
        bar = progress.Progress(stream)
        for phase in ("one", "two"):
            bar.begin(phase)
            bar.told = float("inf")
            bar.show(1, 2)
        bar.end()
        self.assertEqual(stream.getvalue(), "perf: one\nperf: two\n")


if __name__ == "__main__":
    unittest.main()
