//! deploy/kubernetes: what kustomize makes of it passes the schemas.

use std::process::Command;

use jackfield_system_tests::{python, repository};
use serde_json::Value;

use crate::{deploy, run};

/// The oldest and the newest version whose schemas are checked.
pub(crate) const VERSIONS: [&str; 2] = ["1.28.0", "1.37.0"];
/// `jackfield run --grace`, unless said otherwise, s.
const GRACE_S: u64 = 30;

fn built(overlay: &str) -> String {
    run(Command::new(repository().join("scripts/kustomize"))
        .arg("build")
        .arg(deploy(&format!("kubernetes/overlays/{overlay}"))))
}

pub(crate) async fn kinds(overlay: &str, version: &str) -> Value {
    let built = built(overlay);
    let found = python("check_deploy.py", &["kubernetes", version], &built).await;
    serde_json::from_str(&found).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_overlay_passes_the_schemas_of_kubernetes_and_of_the_operator() {
    for overlay in ["embedded-log", "kafka-log"] {
        for version in VERSIONS {
            let kinds = kinds(overlay, version).await;
            for kind in [
                "StatefulSet",
                "ConfigMap",
                "Secret",
                "NetworkPolicy",
                "ServiceMonitor",
                "PrometheusRule",
            ] {
                assert!(kinds[kind].is_array(), "{overlay} has no {kind}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_may_do_nothing_and_has_time_to_drain() {
    for overlay in ["embedded-log", "kafka-log"] {
        let kinds = kinds(overlay, VERSIONS[1]).await;
        let set = &kinds["StatefulSet"][0]["spec"];
        assert_eq!(set["replicas"], 1);
        // Else a pod that is not ready is never replaced, not even by its repair.
        assert_eq!(set["podManagementPolicy"], "Parallel");
        let pod = &set["template"]["spec"];
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > GRACE_S);
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["capabilities"]["drop"][0], "ALL");
        // A failed connector makes the pod unready, and never restarts its neighbours.
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
        // A changed file has another name, which is what rolls the pod.
        let config = pod["volumes"][0]["configMap"]["name"].as_str().unwrap();
        assert!(config.len() > "jackfield-".len(), "{config}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_rules_are_prometheus_rules() {
    let rule = deploy("kubernetes/components/monitoring/prometheusrule.yaml");
    let files = [
        deploy("prometheus/recording.yml"),
        deploy("prometheus/alerts.yml"),
    ];
    let arguments = [
        "rules",
        rule.to_str().unwrap(),
        files[0].to_str().unwrap(),
        files[1].to_str().unwrap(),
    ];
    python("check_deploy.py", &arguments, "").await;
}
