//! Keys of lakes: catalogs, and the stores below them.

use super::{Field, Need, Section, Shape, Text};
use crate::names::NameRule;

pub(crate) static LAKE: Section = Section {
    id: "lake",
    place: "lakes.<lake>",
    what: "a lake",
    doc: "A place to write tables to.",
    fields: &[
        Field {
            key: "catalog",
            shape: Shape::Section(&CATALOG),
            need: Need::Required,
            doc: "What knows the tables.",
        },
        Field {
            key: "warehouse",
            shape: Shape::Text(Text::Warehouse),
            need: Need::Optional(
                "an error, but for a REST catalog: that one says where its tables are",
            ),
            doc: "Where tables are created, and all that is granted with the lake beside the tables of the catalog that a sink writes to: a folder, which becomes a `file:///` URI, or `s3://bucket/prefix`, `gs://bucket/prefix`, `abfss://container@account.dfs.core.windows.net/prefix`.",
        },
        Field {
            key: "s3",
            shape: Shape::Section(&S3),
            need: Need::Optional("as the environment and the machine say"),
            doc: "How buckets of `s3://` are reached.",
        },
        Field {
            key: "gcs",
            shape: Shape::Section(&GCS),
            need: Need::Optional("as the environment and the machine say"),
            doc: "How buckets of `gs://` are reached.",
        },
        Field {
            key: "azure",
            shape: Shape::Section(&AZURE),
            need: Need::Optional("as the environment and the machine say"),
            doc: "How containers of `abfss://` are reached.",
        },
    ],
};

pub(crate) static CATALOG: Section = Section {
    id: "catalog",
    place: "lakes.<lake>.catalog",
    what: "a catalog",
    doc: "An Iceberg catalog: one of these.",
    fields: &[
        Field {
            key: "sql",
            shape: Shape::Secret(Text::SqlUri),
            need: Need::Optional("another catalog"),
            doc: "A database in the format of PyIceberg's `SqlCatalog` and Java's `JdbcCatalog`: `sqlite://<path>`, or `postgres://user:password@host/database`. It may hold a password and is never shown.",
        },
        Field {
            key: "rest",
            shape: Shape::Either {
                short: &Shape::Text(Text::HttpUrl),
                long: &REST,
            },
            need: Need::Optional("another catalog"),
            doc: "A catalog that speaks Iceberg's REST protocol. The short form is its `uri`.",
        },
    ],
};

pub(crate) static REST: Section = Section {
    id: "rest",
    place: "lakes.<lake>.catalog.rest",
    what: "a REST catalog",
    doc: "A catalog that speaks Iceberg's REST protocol. What its `/v1/config` says of prefix and the like is followed.",
    fields: &[
        Field {
            key: "uri",
            shape: Shape::Text(Text::HttpUrl),
            need: Need::Required,
            doc: "Its base URL, without `/v1`.",
        },
        Field {
            key: "warehouse",
            shape: Shape::Text(Text::Given),
            need: Need::Optional("the server's default"),
            doc: "Which of the server's warehouses: a name or a location, as the server knows it.",
        },
        Field {
            key: "prefix",
            shape: Shape::Text(Text::Given),
            need: Need::Optional("as the server says"),
            doc: "What stands between `/v1/` and the rest of each path.",
        },
        Field {
            key: "token",
            shape: Shape::Secret(Text::Header),
            need: Need::Optional("no token"),
            doc: "A bearer token. Never shown.",
        },
        Field {
            key: "oauth",
            shape: Shape::Section(&OAUTH),
            need: Need::Optional("no OAuth2"),
            doc: "OAuth2 with client credentials.",
        },
        Field {
            key: "headers",
            shape: Shape::Map {
                names: NameRule::Header,
                each: &Shape::Secret(Text::Header),
            },
            need: Need::Optional("none"),
            doc: "Sent with every request to the catalog, also where it gives out tokens itself. `authorization` takes the place of `token` and `oauth`. Never shown.",
        },
        Field {
            key: "credentials",
            shape: Shape::Choice(&[
                (
                    "vended",
                    "of the catalog, for each table; where it vends none, the lake's own",
                ),
                ("own", "the lake's own"),
            ]),
            need: Need::Default("vended"),
            doc: "Whose credentials the files of tables are read and written with.",
        },
    ],
};

static OAUTH: Section = Section {
    id: "oauth",
    place: "lakes.<lake>.catalog.rest.oauth",
    what: "`oauth`",
    doc: "OAuth2 with client credentials. The token is renewed before it expires.",
    fields: &[
        Field {
            key: "client-id",
            shape: Shape::Text(Text::Given),
            need: Need::Required,
            doc: "Who asks.",
        },
        Field {
            key: "client-secret",
            shape: Shape::Secret(Text::Header),
            need: Need::Required,
            doc: "Its secret. Never shown.",
        },
        Field {
            key: "uri",
            shape: Shape::Text(Text::HttpUrl),
            need: Need::Optional("`v1/oauth/tokens` of the catalog"),
            doc: "Where tokens are given out.",
        },
        Field {
            key: "scope",
            shape: Shape::Text(Text::Given),
            need: Need::Default("catalog"),
            doc: "What the token is to be good for.",
        },
    ],
};

static S3: Section = Section {
    id: "s3",
    place: "lakes.<lake>.s3",
    what: "`s3`",
    doc: "Amazon S3 and what speaks its protocol. Without keys, those of the environment (`AWS_ACCESS_KEY_ID` and the like) are taken, or what a web identity, the container or the machine is given.",
    fields: &[
        Field {
            key: "endpoint",
            shape: Shape::Text(Text::HttpUrl),
            need: Need::Optional("Amazon's, of the region"),
            doc: "Where it answers: `http://localhost:9000`.",
        },
        Field {
            key: "region",
            shape: Shape::Text(Text::Given),
            need: Need::Optional("of the environment, or `us-east-1`"),
            doc: "The buckets' region.",
        },
        Field {
            key: "access-key-id",
            shape: Shape::Text(Text::Given),
            need: Need::Optional("the environment's or the machine's"),
            doc: "The key's name.",
        },
        Field {
            key: "secret-access-key",
            shape: Shape::Secret(Text::Header),
            need: Need::Optional("as `access-key-id`"),
            doc: "The key. Never shown.",
        },
        Field {
            key: "session-token",
            shape: Shape::Secret(Text::Header),
            need: Need::Optional("none"),
            doc: "Of a key that was given for a while. Never shown.",
        },
        Field {
            key: "addressing",
            shape: Shape::Choice(&[
                (
                    "path",
                    "`https://endpoint/bucket/key`: what servers of one's own understand",
                ),
                ("host", "`https://bucket.endpoint/key`"),
            ]),
            need: Need::Default("path"),
            doc: "How a bucket is named in a request.",
        },
        Field {
            key: "checksum",
            shape: Shape::Choice(&[
                ("none", "the length, and what TLS does"),
                ("sha256", "each request carries one"),
                ("crc64nvme", "likewise, and cheaper"),
            ]),
            need: Need::Default("crc64nvme"),
            doc: "What the store checks an upload by. Servers that don't know a checksum need `none`.",
        },
    ],
};

static GCS: Section = Section {
    id: "gcs",
    place: "lakes.<lake>.gcs",
    what: "`gcs`",
    doc: "Google Cloud Storage. Without an account, the application default credentials are taken.",
    fields: &[
        Field {
            key: "service-account",
            shape: Shape::Secret(Text::Header),
            need: Need::Optional("the application default credentials"),
            doc: "A service account's key, as JSON. Never shown.",
        },
        Field {
            key: "endpoint",
            shape: Shape::Text(Text::HttpUrl),
            need: Need::Optional("Google's"),
            doc: "Where it answers.",
        },
    ],
};

static AZURE: Section = Section {
    id: "azure",
    place: "lakes.<lake>.azure",
    what: "`azure`",
    doc: "Azure Blob Storage and Data Lake Storage. Without a key, those of the environment (`AZURE_CLIENT_ID` and the like) are taken, or the machine's managed identity.",
    fields: &[
        Field {
            key: "access-key",
            shape: Shape::Secret(Text::Header),
            need: Need::Optional("the environment's or the machine's"),
            doc: "The account's key. Never shown.",
        },
        Field {
            key: "sas-token",
            shape: Shape::Secret(Text::Header),
            need: Need::Optional("none"),
            doc: "A shared access signature. Never shown.",
        },
        Field {
            key: "endpoint",
            shape: Shape::Text(Text::HttpUrl),
            need: Need::Optional(
                "the environment's, or where the account's host says, if that is the warehouse's or in one of Azure's own clouds",
            ),
            doc: "Where it answers. It is the warehouse's account: other accounts' tables are refused. Without a warehouse it is the account that it names, as `https://account.blob.core.windows.net` does; an emulator or a proxy has the tables of all.",
        },
    ],
};
