//! Generated from the contract. Types shared by the worlds are generated once, with the first.
//!
//! Imports are async only where they wait: a sync import costs a guest 59 ns, one that suspends
//! ten times that.
#![allow(missing_docs, unreachable_pub, clippy::all)]

pub(crate) mod source {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit/jackfield.wit",
        world: "source-connector",
        imports: { "jackfield:connector/inbox.receive": async },
        exports: { default: async },
    });
}

pub(crate) mod sink {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit/jackfield.wit",
        world: "sink-connector",
        imports: {
            "jackfield:connector/http": async,
            "jackfield:connector/store": async | trappable,
            "jackfield:connector/catalog": async,
            "jackfield:connector/schemas": async,
        },
        exports: { default: async },
        with: {
            "jackfield:connector/types": super::source::jackfield::connector::types,
            "jackfield:connector/http-types": super::source::jackfield::connector::http_types,
            "jackfield:connector/log": super::source::jackfield::connector::log,
            "jackfield:connector/store.upload": crate::lake::Upload,
        },
    });
}

pub(crate) mod transform {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit/jackfield.wit",
        world: "transform-connector",
        exports: { default: async },
        with: {
            "jackfield:connector/types": super::source::jackfield::connector::types,
            "jackfield:connector/log": super::source::jackfield::connector::log,
            "jackfield:connector/schemas": super::sink::jackfield::connector::schemas,
        },
    });
}
