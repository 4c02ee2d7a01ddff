//! `/` and `/page/…`: the page for people. Its files are in this program, and it needs no others.
//!
//! They hold nothing that is anybody's secret, so nobody is asked who he is. What the page shows it
//! asks for itself, with the token that its reader gave it.

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Nothing runs, is fetched, shown or sent but by and from this server; no page frames this one, and
/// no text of a connector can become a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files below `/page/`: name, content type, content.
const FILES: &[(&str, &str, &str)] = &[
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("../page/style.css"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../page/icon.svg"),
    ),
    ("main.js", SCRIPT, include_str!("../page/main.js")),
    ("session.js", SCRIPT, include_str!("../page/session.js")),
    ("stream.js", SCRIPT, include_str!("../page/stream.js")),
    ("model.js", SCRIPT, include_str!("../page/model.js")),
    ("field.js", SCRIPT, include_str!("../page/field.js")),
    ("cords.js", SCRIPT, include_str!("../page/cords.js")),
    ("connector.js", SCRIPT, include_str!("../page/connector.js")),
    ("sections.js", SCRIPT, include_str!("../page/sections.js")),
    ("chart.js", SCRIPT, include_str!("../page/chart.js")),
    ("dialogs.js", SCRIPT, include_str!("../page/dialogs.js")),
    ("state.js", SCRIPT, include_str!("../page/state.js")),
    ("words.js", SCRIPT, include_str!("../page/words.js")),
    ("dom.js", SCRIPT, include_str!("../page/dom.js")),
];

pub(crate) fn routes() -> Router {
    Router::new().route("/page/{file}", get(file))
}

/// Gives the page to whoever asks for one at `/`; programs ask there for something else.
pub(crate) async fn for_people(request: Request, next: Next) -> Response {
    let root = request.method() == Method::GET && request.uri().path() == "/";
    if root && is_wanted(request.headers()) {
        return answer(HTML, include_str!("../page/index.html"));
    }
    next.run(request).await
}

/// Whether a client asks for a page: browsers name HTML, programs name JSON, or take anything.
fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter();
    let ranges = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let html = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        html && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, _, _)| *file == name) {
        Some((_, kind, text)) => answer(kind, text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program has another page.
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str) -> bool {
        is_wanted(
            &[(header::ACCEPT, accept.parse().unwrap())]
                .into_iter()
                .collect(),
        )
    }

    #[test]
    fn only_browsers_are_given_the_page() {
        assert!(wanted(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        ));
        assert!(wanted("application/json, Text/HTML ;q=0.5"));
        assert!(!wanted("*/*"));
        assert!(!wanted("application/json"));
        assert!(!wanted("application/json, text/html;q=0"));
        assert!(!is_wanted(&HeaderMap::new()));
    }

    /// A module that is not in the list would be missed by a browser only.
    #[test]
    fn every_file_that_is_named_is_there() {
        let texts = FILES
            .iter()
            .map(|(_, _, text)| *text)
            .chain([include_str!("../page/index.html")]);
        for text in texts {
            let quoted = text.split('"').skip(1).step_by(2);
            for named in quoted.filter(|it| it.starts_with("./")) {
                let name = named.trim_start_matches("./").trim_start_matches("page/");
                assert!(FILES.iter().any(|(file, _, _)| *file == name), "{named}");
            }
        }
    }
}
