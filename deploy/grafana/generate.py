#!/usr/bin/env python3
"""Writes the dashboards beside this file: `deploy/grafana/generate.py`. With `--check` it only says
whether they are as they would be written. Change a dashboard here, not in its JSON."""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent / "dashboards"
WIDTH = 24  # of Grafana's grid
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF = 'pipeline=~"$pipeline", connector=~"$connector"'


def target(expr, legend, letter):
    return {"datasource": SOURCE, "expr": expr, "legendFormat": legend, "refId": letter, "editorMode": "code"}


def targets(*pairs):
    return [target(expr, legend, chr(ord("A") + i)) for i, (expr, legend) in enumerate(pairs)]


def graph(title, description, unit, *pairs, width=8, stack=False, log=False):
    custom = {"drawStyle": "line", "fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "spanNulls": False}
    if stack:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    if log:
        custom["scaleDistribution"] = {"type": "log", "log": 10}
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": targets(*pairs),
        "fieldConfig": {"defaults": {"unit": unit, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "width": width,
        "height": 8,
    }


def stat(title, description, unit, expr, legend="", red_from=None, width=4):
    steps = [{"color": "green", "value": None}]
    if red_from is not None:
        steps.append({"color": "red", "value": red_from})
    return {
        "type": "stat",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": targets((expr, legend)),
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
        "width": width,
        "height": 4,
    }


def table(title, description, expr, width=12, height=8):
    shown = target(expr, "", "A") | {"format": "table", "instant": True}
    return {
        "type": "table",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": [shown],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "transformations": [{"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}}],
        "width": width,
        "height": height,
    }


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "width": WIDTH, "height": 1}


def variable(name, expr):
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": expr, "refId": "Variable"},
        "definition": expr,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def placed(panels):
    """Lays panels out in lines, as wide as they say."""
    x, y, line = 0, 0, 0
    for number, panel in enumerate(panels, 1):
        width, height = panel.pop("width"), panel.pop("height")
        if x + width > WIDTH:
            x, y, line = 0, y + line, 0
        panel |= {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}}
        x, line = x + width, max(line, height)
    return panels


def dashboard(uid, title, description, kind, panels):
    of_kind = f'kind="{kind}"' if kind else ""
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}, "label": "Prometheus"},
        variable("pipeline", f"label_values(jackfield_records_total{{{of_kind}}}, pipeline)"),
        variable(
            "connector",
            "label_values(jackfield_records_total{" + ", ".join(filter(None, [of_kind, 'pipeline=~"$pipeline"'])) + "}, connector)",
        ),
    ]
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["jackfield"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables},
        "annotations": {"list": []},
        "links": [
            {"type": "dashboards", "title": "Jackfield", "tags": ["jackfield"], "asDropdown": True, "keepTime": True}
        ],
        "panels": placed(panels),
    }


def by(expr, *labels):
    return f"sum by ({', '.join(labels)}) ({expr})"


def rate(metric, more="", of=OF):
    matchers = ", ".join(filter(None, [of, more]))
    return f"rate({metric}{{{matchers}}}[$__rate_interval])"


def quantile(q, metric, *labels, more=""):
    return f"histogram_quantile({q}, {by(rate(metric + '_bucket', more), *labels, 'le')})"


C = "{{connector}}"


def overview():
    return dashboard(
        "jackfield-overview",
        "Jackfield: overview",
        "Whether everything runs, how much passes, and what is wrong.",
        None,
        [
            stat("Processes up", "Processes that answer scrapes.", "none", 'sum(up{job="jackfield"})'),
            stat(
                "Connectors running",
                "Connectors at work.",
                "none",
                f'count(max by (pipeline, connector) (jackfield_connector_state{{{OF}, state="running"}}) == 1)',
            ),
            stat(
                "Connectors FAILED",
                "These gave up: a person must act.",
                "none",
                f'sum(max by (pipeline, connector) (jackfield_connector_state{{{OF}, state="failed"}}))',
                red_from=1,
            ),
            stat(
                "Records in the log that wait",
                "The lag of all sinks.",
                "short",
                f"sum(jackfield_lag_records{{{OF}}})",
            ),
            stat(
                "Dead letters, last hour",
                "Records that could not be delivered.",
                "short",
                f"sum(increase(jackfield_dead_letters_total{{{OF}}}[1h]))",
                red_from=1,
            ),
            stat(
                "Missing, last hour",
                "Records that are not to be had at their origin any more.",
                "short",
                f"sum(increase(jackfield_missing_records_total{{{OF}}}[1h]))",
                red_from=1,
            ),
            graph(
                "Records in",
                "Records that sources had appended, a second.",
                "short",
                (by(rate("jackfield_records_total", 'kind="source"'), "connector"), C),
                stack=True,
            ),
            graph(
                "Records out",
                "Records that sinks took, a second.",
                "short",
                (by(rate("jackfield_records_total", 'kind="sink"'), "connector"), C),
                stack=True,
            ),
            graph(
                "Lag",
                "Records in the log that a sink has not taken yet.",
                "short",
                (by(f"jackfield_lag_records{{{OF}}}", "connector"), C),
            ),
            graph(
                "Failures",
                "By what they led to: `retry` is everyday, `fail` needs a person.",
                "short",
                (by(rate("jackfield_errors_total"), "connector", "consequence"), C + " {{consequence}}"),
            ),
            graph(
                "CPU of components",
                "Cores spent inside calls.",
                "short",
                (by(rate("jackfield_component_cpu_seconds_total"), "connector"), C),
                stack=True,
            ),
            graph(
                "Memory of components",
                "Linear memory of the instances.",
                "bytes",
                (by(f"jackfield_component_memory_bytes{{{OF}}}", "connector"), C),
                stack=True,
            ),
            table(
                "States",
                "What each connector is doing.",
                f"max by (pipeline, connector, kind, state) (jackfield_connector_state{{{OF}}}) == 1",
                width=12,
            ),
            graph(
                "The log's disk",
                "What the embedded log takes, and what is free.",
                "bytes",
                ("jackfield_log_bytes", "log at {{instance}}"),
                ("jackfield_log_disk_free_bytes", "free at {{instance}}"),
                width=6,
            ),
            graph(
                "Pushes by OTLP",
                "Pushes of metrics and traces, where asked for; pipelines never wait for them.",
                "short",
                (
                    "sum by (signal, outcome) (rate(jackfield_telemetry_exports_total[$__rate_interval]))",
                    "{{signal}} {{outcome}}",
                ),
                width=6,
            ),
            table("Versions", "What runs where.", "max by (instance, version) (jackfield_build_info)", height=5),
            stat("Uptime", "Of the youngest process.", "s", "min(jackfield_uptime_seconds)", width=6),
            stat(
                "Changes of the file refused, last day",
                "A changed file that is wrong touches nothing.",
                "none",
                'sum(increase(jackfield_config_reloads_total{outcome="refused"}[1d]))',
                red_from=1,
                width=6,
            ),
        ],
    )


def source():
    kind = 'kind="source"'
    return dashboard(
        "jackfield-source",
        "Jackfield: source",
        "From the origin's connections to the log.",
        "source",
        [
            graph(
                "Records",
                "Records appended to the log, a second.",
                "short",
                (by(rate("jackfield_records_total", kind), "connector"), C),
            ),
            graph(
                "By topic",
                "The same by topic.",
                "short",
                (by(rate("jackfield_topic_records_total", kind), "connector", "topic"), C + " → {{topic}}"),
                stack=True,
            ),
            graph(
                "Bytes",
                "Bytes of the batches.",
                "Bps",
                (by(rate("jackfield_record_bytes_total", kind), "connector"), C),
            ),
            graph(
                "From arrival to durable",
                "How long the oldest event of an append had waited until the log had it.",
                "s",
                (quantile(0.5, "jackfield_settle_duration_seconds", "connector", more=kind), C + " median"),
                (quantile(0.99, "jackfield_settle_duration_seconds", "connector", more=kind), C + " p99"),
                log=True,
            ),
            graph(
                "Appends",
                "How long the log took to make an append durable.",
                "s",
                (quantile(0.5, "jackfield_append_duration_seconds", "connector", more=kind), C + " median"),
                (quantile(0.99, "jackfield_append_duration_seconds", "connector", more=kind), C + " p99"),
                log=True,
            ),
            graph(
                "Appends in flight",
                "Appends that the log has not acknowledged.",
                "short",
                (by(f"jackfield_appends_in_flight{{{OF}, {kind}}}", "connector"), C),
            ),
            graph(
                "Inbox",
                "Events that are not settled; at its limit of bytes the inbox stops reading its connections.",
                "short",
                (by(f"jackfield_inbox_events{{{OF}, {kind}}}", "connector"), C),
            ),
            graph(
                "Bytes of the inbox",
                "Of these events.",
                "bytes",
                (by(f"jackfield_inbox_bytes{{{OF}, {kind}}}", "connector"), C),
            ),
            graph(
                "Behind its origin",
                "Records that the source knows of and has not fetched.",
                "short",
                (by(f"jackfield_behind_records{{{OF}, {kind}}}", "connector"), C),
            ),
            graph(
                "Age of the newest record",
                "By its event time when it was taken; negative when the origin's clock is ahead.",
                "s",
                (f"max by (connector) (jackfield_event_time_lag_seconds{{{OF}, {kind}}})", C),
            ),
            graph(
                "Duplicates, recovered, missing",
                "Dropped since seen before; fetched a second way after a loss; not to be had any more.",
                "short",
                (by(rate("jackfield_duplicate_records_total", kind), "connector"), C + " duplicates"),
                (by(rate("jackfield_recovered_records_total", kind), "connector"), C + " recovered"),
                (by(rate("jackfield_missing_records_total", kind), "connector"), C + " missing"),
            ),
            graph(
                "Rejected events and dead letters",
                "Events that can never become records.",
                "short",
                (by(rate("jackfield_rejected_records_total", kind), "connector"), C + " rejected"),
                (by(rate("jackfield_dead_letters_total", kind), "connector"), C + " dead letters"),
            ),
            graph(
                "WebSocket frames",
                "Frames received, a second.",
                "short",
                (by(rate("jackfield_websocket_frames_total", kind), "connector"), C),
            ),
            graph(
                "WebSocket bytes",
                "Of these frames.",
                "Bps",
                (by(rate("jackfield_websocket_received_bytes_total", kind), "connector"), C),
            ),
            graph(
                "Connections and requests",
                "Opened, opened again, asked, asked in vain.",
                "short",
                (by(rate("jackfield_websocket_connections_total", kind), "connector"), C + " connections"),
                (by(rate("jackfield_websocket_reconnects_total", kind), "connector"), C + " reconnects"),
                (by(rate("jackfield_http_requests_total", kind), "connector"), C + " requests"),
                (by(rate("jackfield_http_request_failures_total", kind), "connector"), C + " failed requests"),
            ),
        ],
    )


def sink():
    kind = 'kind="sink"'
    return dashboard(
        "jackfield-sink",
        "Jackfield: sink",
        "From the log to the table.",
        "sink",
        [
            graph(
                "Records",
                "Records taken from the log, a second.",
                "short",
                (by(rate("jackfield_records_total", kind), "connector"), C),
            ),
            graph(
                "By topic",
                "The same by topic.",
                "short",
                (by(rate("jackfield_topic_records_total", kind), "connector", "topic"), "{{topic}} → " + C),
                stack=True,
            ),
            graph(
                "Lag",
                "Records in the log that the sink has not taken.",
                "short",
                (by(f"jackfield_lag_records{{{OF}, {kind}}}", "connector"), C),
            ),
            graph(
                "Lag by topic",
                "The same by topic.",
                "short",
                (by(f"jackfield_topic_lag_records{{{OF}, {kind}}}", "connector", "topic"), "{{topic}} → " + C),
            ),
            graph(
                "Rows that wait for a commit",
                "Taken, and not visible yet.",
                "short",
                (by(f"jackfield_uncommitted_rows{{{OF}, {kind}}}", "connector"), C),
            ),
            graph(
                "Since the last commit",
                "Rises steadily where commits stall, or where nothing comes in.",
                "s",
                (f"time() - max by (connector) (jackfield_last_commit_timestamp_seconds{{{OF}, {kind}}})", C),
            ),
            graph(
                "Rows made visible",
                "A second, over the rate's interval.",
                "short",
                (by(rate("jackfield_committed_rows_total", kind), "connector"), C),
            ),
            graph(
                "Commits",
                "How long from staging to visible.",
                "s",
                (quantile(0.5, "jackfield_commit_duration_seconds", "connector", more=kind), C + " median"),
                (quantile(0.99, "jackfield_commit_duration_seconds", "connector", more=kind), C + " p99"),
                log=True,
            ),
            graph(
                "Rows a file",
                "Small files make a table slow: commit less often.",
                "short",
                (
                    by(rate("jackfield_committed_rows_total", kind), "connector")
                    + " / "
                    + by(rate("jackfield_committed_files_total", kind), "connector"),
                    C,
                ),
            ),
            graph(
                "Bytes made visible",
                "Of the files.",
                "Bps",
                (by(rate("jackfield_committed_bytes_total", kind), "connector"), C),
            ),
            graph(
                "Put and stage",
                "How long these calls took.",
                "s",
                (quantile(0.99, "jackfield_call_duration_seconds", "connector", "call", more=kind + ', call=~"put|stage|commit"'), C + " {{call}} p99"),
                log=True,
            ),
            graph(
                "Age of the newest record",
                "By its event time when it was taken.",
                "s",
                (f"max by (connector) (jackfield_event_time_lag_seconds{{{OF}, {kind}}})", C),
            ),
            graph(
                "Rejected records and dead letters",
                "Records that could not be delivered.",
                "short",
                (by(rate("jackfield_rejected_records_total", kind), "connector"), C + " rejected"),
                (by(rate("jackfield_dead_letters_total", kind), "connector"), C + " dead letters"),
            ),
            graph(
                "Retries and restarts",
                "Calls made again, and lives begun again.",
                "short",
                (by(rate("jackfield_retries_total", kind), "connector"), C + " retries"),
                (by(rate("jackfield_restarts_total", kind), "connector"), C + " restarts"),
            ),
            graph(
                "Records a batch",
                "Of what the log gives.",
                "short",
                (
                    by(rate("jackfield_records_total", kind), "connector")
                    + " / "
                    + by(rate("jackfield_batches_total", kind), "connector"),
                    C,
                ),
            ),
        ],
    )


def plugins():
    return dashboard(
        "jackfield-plugins",
        "Jackfield: plugins and swaps",
        "What components use and do wrong, and how changes of their versions went.",
        None,
        [
            row("What components use"),
            graph(
                "CPU",
                "Cores spent inside calls.",
                "short",
                (by(rate("jackfield_component_cpu_seconds_total"), "connector"), C),
            ),
            graph(
                "Records a CPU second",
                "Falls when a component becomes slower.",
                "short",
                (
                    by(rate("jackfield_records_total"), "connector")
                    + " / "
                    + by(rate("jackfield_component_cpu_seconds_total"), "connector"),
                    C,
                ),
            ),
            graph(
                "Memory",
                "Linear memory of the instances.",
                "bytes",
                (by(f"jackfield_component_memory_bytes{{{OF}}}", "connector"), C),
            ),
            row("Calls"),
            graph(
                "How long calls take",
                "99 of 100 were shorter. Waits inside are included: a `poll` waits for the origin.",
                "s",
                (quantile(0.99, "jackfield_call_duration_seconds", "connector", "call"), C + " {{call}}"),
                log=True,
            ),
            graph(
                "Calls",
                "A second.",
                "short",
                (by(rate("jackfield_call_duration_seconds_count"), "connector", "call"), C + " {{call}}"),
            ),
            graph(
                "Calls to the host",
                "A second.",
                "short",
                (by(rate("jackfield_host_calls_total"), "connector"), C),
            ),
            row("What went wrong"),
            graph(
                "Deaths",
                "Instances that died in a call: a trap, a deadline, a limit.",
                "short",
                (by(rate("jackfield_component_deaths_total"), "connector"), C),
            ),
            graph(
                "Denials",
                "Host calls that reached for what is not granted.",
                "short",
                (by(rate("jackfield_denials_total"), "connector"), C),
            ),
            graph(
                "Log lines dropped",
                "Over the component's rate limit.",
                "short",
                (by(rate("jackfield_dropped_log_lines_total"), "connector"), C),
            ),
            row("Swaps"),
            graph(
                "Swaps, by how they ended",
                "In the last hour.",
                "none",
                (by(f"increase(jackfield_swaps_total{{{OF}}}[1h])", "connector", "outcome"), C + " {{outcome}}"),
            ),
            graph(
                "Pause",
                "For how long a connector took nothing; 99 of 100 were shorter.",
                "s",
                (
                    f"histogram_quantile(0.99, sum by (connector, le) (increase(jackfield_swap_pause_seconds_bucket{{{OF}}}[1h])))",
                    C,
                ),
                log=True,
            ),
            stat(
                "Taken back, last day",
                "New versions that were no good.",
                "none",
                f'sum(increase(jackfield_swaps_total{{{OF}, outcome="rolled-back"}}[1d]))',
                red_from=1,
                width=8,
            ),
        ],
    )


def main():
    check = "--check" in sys.argv[1:]
    HERE.mkdir(exist_ok=True)
    differs = []
    made = {"overview": overview(), "source": source(), "sink": sink(), "plugins": plugins()}
    for name, content in made.items():
        path = HERE / f"{name}.json"
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        if check:
            if not path.exists() or path.read_text() != text:
                differs.append(str(path))
        else:
            path.write_text(text)
    extra = {path.stem for path in HERE.glob("*.json")} - made.keys()
    if differs or extra:
        sys.exit(f"not as written by generate.py: {differs} {sorted(extra)}")


main()
