"""Drives an admin server with clients of Kafka Connect's REST API, each as its users do.

Prints `<client>: ok` for each; ends with an error at the first thing that is not as it should be.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 120


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=PATIENCE_S
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def until(what: str, look):
    end = time.monotonic() + PATIENCE_S
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def kafka_connect_py(url: str, source: dict, sink: dict) -> None:
    """Its command line `kc`, and its library where the command line can't."""
    from kafka_connect import KafkaConnect

    def kc(*args: str):
        text = run(program("kc"), "--url", url, "--auth", "anyone:anything", *args)
        assert "Oops" not in text and "Error" not in text, text
        return json.loads(text) if text.strip() else None

    info = kc("info")
    assert tuple(map(int, info["version"].split(".")[:2])) >= (4, 1), info
    assert kc("list") == []
    made = kc("create", "--config-data", json.dumps({"name": "kc-source", "config": source}))
    assert made["name"] == "kc-source" and made["type"] == "source", made
    updated = kc("update", "kc-sink", "--config-data", json.dumps(sink))
    assert updated["config"]["table"] == sink["table"], updated
    assert sorted(kc("list")) == ["kc-sink", "kc-source"]
    running = lambda name: lambda: kc("status", name)["connector"]["state"] == "RUNNING"
    until("kc-source runs", running("kc-source"))
    until("kc-sink runs", running("kc-sink"))
    assert kc("get", "kc-sink")["tasks"][1] == {"connector": "kc-sink", "task": 1}
    assert kc("config", "kc-sink")["name"] == "kc-sink"
    assert kc("list-tasks", "kc-sink")[0]["id"] == {"connector": "kc-sink", "task": 0}
    assert kc("task-status", "kc-sink", "0")["id"] == 0
    assert kc("list-topics", "kc-sink") == {"kc-sink": {"topics": [sink["topics"]]}}
    kc("reset-topics", "kc-sink")
    assert kc("list", "--expand", "status")["kc-sink"]["status"]["type"] == "sink"
    kc("pause", "kc-sink")
    until("kc-sink rests", lambda: kc("status", "kc-sink")["connector"]["state"] == "PAUSED")
    kc("resume", "kc-sink")
    until("kc-sink runs", running("kc-sink"))
    kc("restart", "kc-sink")
    kc("restart", "kc-sink", "--include-tasks", "--only-failed")
    kc("restart-task", "kc-sink", "0")
    until("kc-sink runs", running("kc-sink"))
    plugins = {plugin["class"]: plugin["type"] for plugin in kc("list-plugins")}
    assert plugins == {"binance": "source", "iceberg": "sink"}, plugins
    client = KafkaConnect(url)
    checked = client.validate_connector_config("iceberg", {**sink, "name": "x", "transforms": "a"})
    errors = {c["value"]["name"]: c["value"]["errors"] for c in checked["configs"] if c["value"]["errors"]}
    assert checked["error_count"] == 1 and list(errors) == ["transforms"], errors
    client.stop_connector("kc-sink")
    until("kc-sink is stopped", lambda: kc("status", "kc-sink")["connector"]["state"] == "STOPPED")
    kc("delete", "--all")
    assert kc("list") == []


def kafkaconnect(url: str, source: dict, sink: dict) -> None:
    """Its library, which its commands for certain sinks are made of, and its command line."""
    from kafkaconnect.connect import Connect

    connect = Connect(url)
    made = json.loads(connect.create_or_update("km-source", json.dumps(source)))
    assert made["name"] == "km-source", made
    again = json.loads(connect.create_or_update("km-source", json.dumps({**source, "tasks.max": 2})))
    assert again["config"]["tasks.max"] == "2", again

    def km(*args: str) -> str:
        return run(program("kafkaconnect"), "--connect", url, *args)

    assert json.loads(km("list")) == ["km-source"]
    assert json.loads(km("info", "km-source"))["type"] == "source"
    assert json.loads(km("config", "km-source"))["market"] == "spot"
    assert json.loads(km("topics", "km-source"))["km-source"]["topics"]
    assert len(json.loads(km("tasks", "km-source"))) == 2
    assert {plugin["class"] for plugin in json.loads(km("plugins"))} == {"binance", "iceberg"}
    state = lambda: json.loads(km("status", "km-source"))["connector"]["state"]
    km("pause", "km-source")
    until("km-source rests", lambda: state() == "PAUSED")
    km("resume", "km-source")
    until("km-source runs", lambda: state() == "RUNNING")
    km("delete", "km-source")
    assert json.loads(km("list")) == []


def connectorctl(url: str, source: dict, sink: dict) -> None:
    """Its command line; it always speaks basic authentication."""
    server, port = url.removeprefix("http://").split(":")
    ctl = lambda *args: run(program("connectorctl"), *args)
    ctl("set-env", "test", "--user", "u", "--password", "p", "--server", server, "--port", port)
    made = ctl("create", json.dumps({"name": "ctl-sink", "config": sink}))
    assert sink["table"] in made, made
    assert "ctl-sink" in ctl("list")
    until("ctl-sink runs", lambda: "RUNNING" in ctl("status", "ctl-sink"))
    assert "Paused successfully" in ctl("pause", "ctl-sink")
    until("ctl-sink rests", lambda: "PAUSED" in ctl("status", "ctl-sink"))
    assert "Resumed successfully" in ctl("resume", "ctl-sink")
    assert "Restarted successfully" in ctl("restart", "ctl-sink")
    changed = ctl("update", "ctl-sink", json.dumps({**sink, "jackfield.commit.every": "2s"}))
    assert "2s" in changed, changed
    ctl("delete", "ctl-sink")
    assert "ctl-sink" not in ctl("list")


def kafka_connect_watcher(url: str, source: dict, sink: dict) -> None:
    """Its rules, on a connector that runs and on one that has failed, which it restarts."""
    from kafka_connect import KafkaConnect
    from kafka_connect_watcher.cluster import ConnectCluster
    from kafka_connect_watcher.config import Config

    client = KafkaConnect(url)
    client.update_connector("watched-sink", sink)
    ungranted = {k: v for k, v in source.items() if k != "jackfield.grant"}
    client.update_connector("watched-source", {**ungranted, "errors.retry.timeout": "1000"})
    state = lambda name: client.get_connector_status(name)["connector"]["state"]
    until("watched-sink runs", lambda: state("watched-sink") == "RUNNING")
    until("watched-source has failed", lambda: state("watched-source") == "FAILED")
    cluster = {
        "name": "ours",
        "hostname": url.removeprefix("http://").split(":")[0],
        "url": url,
        "evaluation_rules": [{"include_regex": [".*"], "auto_correct_actions": [{"action": "restart"}]}],
    }
    config = Config(configuration={"clusters": [cluster]})
    watched = ConnectCluster(config.config["clusters"][0], config)
    for rule in watched.handling_rules:
        rule.execute(watched)
    seen = watched.metrics["connectors"]
    assert seen["watched-sink"]["running"] == 2, seen
    assert seen["watched-source"]["failed"] == 1, seen
    client.delete_all_connectors()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--source", type=json.loads, required=True)
    parser.add_argument("--sink", type=json.loads, required=True)
    args = parser.parse_args()
    for name, drive in [
        ("kafka-connect-py", kafka_connect_py),
        ("kafkaconnect", kafkaconnect),
        ("connectorctl", connectorctl),
        ("kafka-connect-watcher", kafka_connect_watcher),
    ]:
        drive(args.url, args.source, args.sink)
        print(f"{name}: ok", flush=True)


if __name__ == "__main__":
    main()
