//! Dashboards and rules name metrics and labels that there are, and every panel shows something.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Prometheus, Site, faster_expr, http, repository, rules};
use jackfield_test_otlp::Receiver;
use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::admin::{Admin, changed_copy};
use crate::exchange;

/// Labels that Prometheus itself adds.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

/// The values of each label of a metric.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// An expression, and where it stands.
struct Asked {
    place: String,
    expr: String,
    /// Labels that the legend names.
    legend: Vec<String>,
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = repository().join("deploy/grafana/dashboards");
    let files = std::fs::read_dir(folder).unwrap();
    let paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_str(&text).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// What Grafana would put in the place of its variables.
fn filled_in(expr: &str) -> String {
    let filled = expr.replace("$__rate_interval", "10m");
    let filled = filled
        .replace("$pipeline", ".*")
        .replace("$connector", ".*");
    assert!(
        !filled.contains('$'),
        "a variable that no dashboard has: {expr}"
    );
    filled
}

fn legend_labels(legend: &str) -> Vec<String> {
    let parts = legend.split("{{").skip(1);
    parts
        .map(|part| part.split("}}").next().unwrap().trim().to_owned())
        .collect()
}

/// What panels ask.
fn panels() -> Vec<Asked> {
    let mut asked = Vec::new();
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            let place = format!("{name}: {}", panel["title"].as_str().unwrap());
            for target in panel["targets"].as_array().into_iter().flatten() {
                asked.push(Asked {
                    place: place.clone(),
                    expr: filled_in(target["expr"].as_str().unwrap()),
                    legend: legend_labels(target["legendFormat"].as_str().unwrap()),
                });
            }
        }
    }
    asked
}

/// What the choices of variables ask: `label_values(metric{…}, label)`.
fn variables() -> Vec<(String, String, String)> {
    let mut asked = Vec::new();
    for (name, dashboard) in dashboards() {
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let Some(query) = variable["query"]["query"].as_str() else {
                continue;
            };
            let inner = query.strip_prefix("label_values(").unwrap();
            let (selector, label) = inner.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
            asked.push((name.clone(), filled_in(selector), label.to_owned()));
        }
    }
    asked
}

/// What rules ask.
fn asked_by_rules() -> Vec<Asked> {
    let mut asked = Vec::new();
    for file in ["alerts.yml", "recording.yml"] {
        for rule in rules(file)["groups"][0]["rules"].as_array().unwrap() {
            let name = rule["alert"].as_str().or(rule["record"].as_str()).unwrap();
            asked.push(Asked {
                place: format!("{file}: {name}"),
                expr: rule["expr"].as_str().unwrap().to_owned(),
                legend: Vec::new(),
            });
        }
    }
    asked
}

/// The metrics of an exposition.
fn exposed(text: &str) -> BTreeMap<String, Labels> {
    let mut metrics: BTreeMap<String, Labels> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = metrics.entry(name.to_owned()).or_default();
        let Some((_, rest)) = line.split_once('{') else {
            continue;
        };
        // No value of ours has a quote or a comma in it.
        for pair in rest.rsplit_once('}').unwrap().0.split(',') {
            let (label, value) = pair.split_once('=').unwrap();
            let values = labels.entry(label.to_owned()).or_default();
            values.insert(value.trim_matches('"').to_owned());
        }
    }
    metrics
}

/// Looks for names that there are not.
struct Check<'a> {
    place: &'a str,
    metrics: &'a BTreeMap<String, Labels>,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn says(&mut self, what: String) {
        self.wrong.push(format!("{}: {what}", self.place));
    }

    /// Gives the labels that what the expression selects has.
    fn walk(&mut self, expr: &Expr) -> BTreeSet<String> {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Paren(paren) => self.walk(&paren.expr),
            Expr::Unary(unary) => self.walk(&unary.expr),
            Expr::Subquery(subquery) => self.walk(&subquery.expr),
            Expr::Call(call) => {
                let mut labels = BTreeSet::new();
                for argument in &call.args.args {
                    labels.extend(self.walk(argument));
                }
                labels
            }
            Expr::Aggregate(aggregate) => {
                let below = self.walk(&aggregate.expr);
                let Some(modifier) = &aggregate.modifier else {
                    return BTreeSet::new();
                };
                let by: BTreeSet<String> = modifier.labels().labels.iter().cloned().collect();
                self.all_of(&by, &below);
                by
            }
            Expr::Binary(binary) => {
                let (left, right) = (self.walk(&binary.lhs), self.walk(&binary.rhs));
                let matching = binary.modifier.as_ref().and_then(|it| it.matching.as_ref());
                if let Some(on) = matching {
                    let on: BTreeSet<String> = on.labels().labels.iter().cloned().collect();
                    self.all_of(&on, &left);
                    self.all_of(&on, &right);
                }
                if left.is_empty() { right } else { left }
            }
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => BTreeSet::new(),
            Expr::Extension(_) => unreachable!("the parser makes none"),
        }
    }

    fn all_of(&mut self, named: &BTreeSet<String>, known: &BTreeSet<String>) {
        for label in named.difference(known) {
            self.says(format!("`{label}` is no label of what it groups"));
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> BTreeSet<String> {
        let name = selector.name.clone().unwrap_or_default();
        let prometheus = OF_PROMETHEUS.map(str::to_owned).into_iter();
        let Some(labels) = self.metrics.get(&name) else {
            self.says(format!("there is no metric `{name}`"));
            return prometheus.collect();
        };
        for matcher in &selector.matchers.matchers {
            let (label, value) = (&matcher.name, &matcher.value);
            if OF_PROMETHEUS.contains(&label.as_str()) {
                continue;
            }
            let Some(values) = labels.get(label) else {
                self.says(format!("`{name}` has no label `{label}`"));
                continue;
            };
            let found = match &matcher.op {
                MatchOp::Equal => values.contains(value),
                MatchOp::Re(regex) => values.iter().any(|it| regex.is_match(it)),
                MatchOp::NotEqual | MatchOp::NotRe(_) => true,
            };
            if !found {
                self.says(format!("`{label}` of `{name}` is never `{value}`"));
            }
        }
        labels.keys().cloned().chain(prometheus).collect()
    }
}

/// All that is wrong with names in these expressions.
fn wrong_names(asked: &[Asked], metrics: &BTreeMap<String, Labels>) -> Vec<String> {
    let mut wrong = Vec::new();
    for Asked {
        place,
        expr,
        legend,
    } in asked
    {
        let parsed = parser::parse(expr).unwrap_or_else(|e| panic!("{place}: {expr}: {e}"));
        let mut check = Check {
            place,
            metrics,
            wrong: Vec::new(),
        };
        let labels = check.walk(&parsed);
        check.all_of(&legend.iter().cloned().collect(), &labels);
        wrong.extend(check.wrong);
    }
    wrong
}

/// The check itself finds what is wrong.
#[test]
fn an_unknown_metric_label_or_value_is_found() {
    let metrics = exposed("a_total{connector=\"c\",state=\"up\"} 1\nb 2\n");
    let ask = |expr: &str, legend: &str| {
        let asked = Asked {
            place: "here".into(),
            expr: expr.into(),
            legend: legend_labels(legend),
        };
        wrong_names(&[asked], &metrics)
    };
    assert!(
        ask(
            "sum by (connector) (rate(a_total{state=\"up\"}[5m]))",
            "{{connector}}"
        )
        .is_empty()
    );
    assert!(ask("a_total + on (connector) a_total", "").is_empty());
    for (expr, legend) in [
        ("rate(typo_total[5m])", ""),
        ("a_total{conector=\"c\"}", ""),
        ("a_total{state=\"down\"}", ""),
        ("a_total{state=~\"down|left\"}", ""),
        ("sum by (conector) (a_total)", ""),
        ("a_total unless on (topic) b", ""),
        ("sum by (connector) (a_total)", "{{state}}"),
        ("max(a_total)", "{{connector}}"),
    ] {
        assert!(!ask(expr, legend).is_empty(), "{expr} {legend}");
    }
}

#[tokio::test]
async fn dashboards_are_as_generated() {
    let script = repository().join("deploy/grafana/generate.py");
    let output = Command::new("python3")
        .arg(script)
        .arg("--check")
        .output()
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    for (name, dashboard) in dashboards() {
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}");
        assert!(dashboard["uid"].as_str().unwrap().starts_with("jackfield-"));
    }
}

/// A pipeline that pushes by OTLP and whose source was swapped has every metric that dashboards
/// and rules name, with the labels and values that they name; and Prometheus gives samples for
/// every panel.
#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_rule_names_what_there_is() {
    let exchange = exchange(Speed::PerSecond(500.0), |o| o.laps = 20).await;
    let receiver = Receiver::http().await;
    let mut site = Site::new(&exchange).await;
    let otlp = json!({ "endpoint": receiver.url(), "interval": "500ms" });
    site.set("/telemetry", json!({ "otlp": otlp }));
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let mut admin = Admin::run(&site, &[]).await;
    let address = admin.url.trim_start_matches("http://").to_owned();
    let prometheus = Prometheus::start(&[&address]).await;
    prometheus
        .until_some("jackfield_committed_rows_total > 0")
        .await;
    admin
        .swap("trades-source", &std::fs::read(copy).unwrap(), 1)
        .await;
    let kept = "jackfield_swaps_total{outcome=\"kept\"} > 0";
    prometheus.until_some(kept).await;
    prometheus
        .until_some("jackfield_telemetry_exports_total > 0")
        .await;

    let page = http()
        .get(format!("{}/metrics", admin.url))
        .send()
        .await
        .unwrap();
    let mut metrics = exposed(&page.text().await.unwrap());
    metrics.insert("up".into(), Labels::new());
    let asked = asked_by_rules();
    for rule in rules("recording.yml")["groups"][0]["rules"]
        .as_array()
        .unwrap()
    {
        let name = rule["record"].as_str().unwrap();
        let samples = prometheus.until_some(name).await;
        let labels = samples[0]["metric"].as_object().unwrap().keys().cloned();
        let labels = labels.map(|label| (label, BTreeSet::new()));
        metrics.insert(name.to_owned(), labels.collect());
    }
    let panels = panels();
    assert!(panels.len() > 60, "{}", panels.len());
    let mut wrong = wrong_names(&asked, &metrics);
    wrong.extend(wrong_names(&panels, &metrics));
    for (name, selector, label) in variables() {
        let ask = Asked {
            place: format!("{name}: variables"),
            expr: selector,
            legend: vec![label],
        };
        wrong.extend(wrong_names(&[ask], &metrics));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    for Asked {
        place,
        expr,
        legend,
    } in panels
    {
        let samples = prometheus.until_some(&faster_expr(&expr)).await;
        for label in legend {
            let named = samples.iter().all(|it| it["metric"][&label].is_string());
            assert!(named, "{place}: `{label}` is not in {samples:?}");
        }
    }
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
}
