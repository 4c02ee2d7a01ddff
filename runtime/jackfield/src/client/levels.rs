//! `jackfield logs level`.

use super::admin::Admin;
use super::args::LevelArgs;
use super::say;
use super::table::{Column, table};
use crate::exit::Exit;
use crate::start_error::StartError;
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) async fn level(args: LevelArgs) -> Result<Exit, StartError> {
    let admin = Admin::at(&args.at)?;
    let told = match (&args.logger, &args.level) {
        (None, _) => admin.get(&["admin", "loggers"]).await?,
        (Some(logger), None) => {
            let one = admin.get(&["admin", "loggers", logger]).await?;
            json!({ logger.as_str(): one })
        }
        (Some(logger), Some(level)) => {
            let url = admin.path(&["admin", "loggers", logger]);
            let wanted = json!({ "level": level.to_uppercase() });
            admin.call(Method::PUT, url, Some(&wanted)).await?;
            let now = admin.get(&["admin", "loggers", logger]).await?;
            json!({ logger.as_str(): now })
        }
    };
    say(&match args.at.json {
        true => told.to_string(),
        false => text(&told),
    });
    Ok(Exit::Clean)
}

fn text(told: &Value) -> String {
    let all = told.as_object().into_iter().flatten();
    let rows = all.map(|(logger, it)| {
        let level = it["level"].as_str().unwrap_or("?");
        vec![logger.clone(), level.to_owned()]
    });
    let columns = [Column::Text("logger"), Column::Text("level")];
    table(&columns, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_a_table() {
        let told = json!({ "root": { "level": "INFO", "last_modified": null } });
        assert_eq!(text(&told), " LOGGER  LEVEL\n root    INFO");
    }
}
