//! The table as Iceberg's own library has it, by the programs in tests/java.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;
use url::Url;

use crate::readers::{Place, Table, run};
use crate::repository;

/// A program of tests/java on a table of any lake; `arguments` come before the catalog's properties.
pub fn iceberg_java(program: &str, arguments: &[&str], place: &Place) -> Command {
    let mut command = Command::new(repository().join("scripts/iceberg-java"));
    command
        .arg(program)
        .args(arguments)
        .args(properties(place))
        .kill_on_drop(true);
    command
}

/// Reads a table of any lake with Iceberg's own library.
pub async fn read_java_at(place: &Place, table: &str) -> Table<Value> {
    let command = iceberg_java("ReadTable", &[table], place);
    run("iceberg-java", command, table).await
}

/// The same of the lake `local` under `data`.
pub async fn read_java_below(data: &Path, table: &str) -> Table<Value> {
    read_java_at(&Place::below(data), table).await
}

/// Where a lake is, in that library's words.
fn properties(place: &Place) -> Vec<String> {
    if place.catalog.starts_with("http") {
        return vec![
            "type=rest".to_owned(),
            format!("uri={}", place.catalog),
            "io-impl=org.apache.iceberg.hadoop.HadoopFileIO".to_owned(),
        ];
    }
    let mut all = vec!["type=jdbc".to_owned(), "jdbc.schema-version=V1".to_owned()];
    match Url::parse(&place.catalog) {
        // Its driver takes who asks apart from where.
        Ok(database) => {
            let host = database.host_str().expect("a server's URI has a host");
            let port = database.port().expect("servers of tests have free ports");
            let path = database.path();
            all.push(format!("uri=jdbc:postgresql://{host}:{port}{path}"));
            all.push(format!("jdbc.user={}", database.username()));
            let password = database.password();
            all.extend(password.map(|it| format!("jdbc.password={it}")));
        }
        // A path, of a SQLite database.
        Err(_) => all.push(format!("uri=jdbc:sqlite:{}", place.catalog)),
    }
    if place.warehouse.starts_with("s3://") {
        all.push(format!("warehouse={}", place.warehouse));
        all.push("io-impl=org.apache.iceberg.aws.s3.S3FileIO".to_owned());
        all.push("s3.path-style-access=true".to_owned());
        all.push("client.region=us-east-1".to_owned());
        let given = place.properties.iter();
        all.extend(given.map(|(key, value)| format!("{key}={value}")));
    } else {
        all.push(format!("warehouse=file://{}", place.warehouse));
    }
    all
}
