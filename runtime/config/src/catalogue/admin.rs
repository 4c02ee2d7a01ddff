//! Keys of the admin server.

use super::{Field, Need, Section, Shape, Text};

pub(super) static ADMIN: Section = Section {
    id: "admin",
    place: "admin",
    what: "the admin server",
    doc: "The HTTP server of health, metrics and administration.",
    fields: &[
        Field {
            key: "listen",
            shape: Shape::Text(Text::Address),
            need: Need::Default("127.0.0.1:8083"),
            doc: "IP address and port. Port 0 takes any that is free. Only this machine can reach the default; any other address needs `token`, or `expose`.",
        },
        Field {
            key: "expose",
            shape: Shape::Choice(&[
                (
                    "false",
                    "other machines are let in only with a `token` of the file",
                ),
                (
                    "true",
                    "whoever reaches the address sees health and metrics; the rest needs the token of the state folder",
                ),
            ]),
            need: Need::Default("false"),
            doc: "Whether to listen on an address that other machines reach though the file has no `token`.",
        },
        Field {
            key: "auth",
            shape: Shape::Choice(&[
                (
                    "token",
                    "the bearer token, or the token as the password of basic authentication with any user",
                ),
                (
                    "none",
                    "nobody is asked: every process on this machine may change connectors. On loopback only",
                ),
            ]),
            need: Need::Default("token"),
            doc: "Who may see and change connectors. `none` is for clients of Kafka Connect that know no token.",
        },
        Field {
            key: "hosts",
            shape: Shape::List {
                each: &Shape::Text(Text::Name),
                min: 0,
            },
            need: Need::Optional("only its addresses, and `localhost` on loopback"),
            doc: "Further names that requests may call this server by, without a port: those of its certificate, or of a Kubernetes service. Any other `Host` is refused, so that no page in a browser comes in under a name of its own.",
        },
        Field {
            key: "components",
            shape: Shape::Text(Text::Path),
            need: Need::Optional("a swap's component is uploaded"),
            doc: "Folder whose files a swap may name instead of uploading a component: `jackfield swap CONNECTOR --named FILE`, `POST /connectors/CONNECTOR/swap?file=FILE`. Nothing outside of it can be named.",
        },
        Field {
            key: "tls",
            shape: Shape::Section(&ADMIN_TLS),
            need: Need::Optional("plain HTTP"),
            doc: "HTTPS instead of HTTP, for all that the server answers.",
        },
        Field {
            key: "token",
            shape: Shape::Secret(Text::Header),
            need: Need::Optional("a random one, kept in `admin-token` in the state folder"),
            doc: "Who may see and change connectors: the bearer token of a request. Health and metrics need none.",
        },
    ],
};

static ADMIN_TLS: Section = Section {
    id: "admin-tls",
    place: "admin.tls",
    what: "`tls`",
    doc: "The server's certificate. Read when the process starts.",
    fields: &[
        Field {
            key: "cert",
            shape: Shape::Text(Text::Path),
            need: Need::Required,
            doc: "PEM file of the certificate and its chain.",
        },
        Field {
            key: "key",
            shape: Shape::Text(Text::Path),
            need: Need::Required,
            doc: "PEM file of its private key.",
        },
    ],
};
