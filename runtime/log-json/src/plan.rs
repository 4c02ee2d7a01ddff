//! A schema as it is walked: references resolved, defaults encoded.

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordSchema};
use std::collections::HashMap;

/// Digits that a decimal may have: what 16 bytes hold.
const DECIMAL_DIGITS_MAX: usize = 38;

/// A node's number in its plan.
pub(crate) type Id = usize;

/// A schema that can be walked. Cheap to walk, made once for each schema.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Id,
}

/// Why a schema has no form in JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unplannable(String);

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    Text,
    Enum(Vec<String>),
    /// `fixed`: in so many bytes, else in as many as it needs.
    Decimal {
        scale: u32,
        precision: u32,
        fixed: Option<usize>,
    },
    Array(Id),
    Map(Id),
    /// Of null and one more.
    Nullable {
        null: u8,
        other: Id,
    },
    /// Of any other kind, with the branches' names.
    Union(Vec<(String, Id)>),
    Record(Record),
}

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) fields: Vec<Field>,
    pub(crate) by_name: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) node: Id,
    /// What stands in for it when it is missing, encoded.
    pub(crate) default: Option<Vec<u8>>,
}

impl Plan {
    /// The plan of an Avro schema.
    ///
    /// # Errors
    /// It is none, or has a type that JSON has no form for.
    pub fn of(schema: &str) -> Result<Self, Unplannable> {
        let schema = Schema::parse_str(schema)
            .map_err(|e| Unplannable(format!("not an Avro schema: {e}")))?;
        let mut planning = Planning::default();
        let root = planning.node(&schema)?;
        let mut plan = Self {
            nodes: planning.nodes,
            root,
        };
        for (node, field, default) in planning.defaults {
            plan.set_default(node, field, &default);
        }
        Ok(plan)
    }

    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// A default that can't be encoded by the same rules as a value counts as none.
    fn set_default(&mut self, record: Id, field: usize, default: &serde_json::Value) {
        let text = default.to_string();
        let Node::Record(Record { fields, .. }) = self.node(record) else {
            return;
        };
        let encoded = self.encode(fields[field].node, text.as_bytes()).ok();
        if let Node::Record(Record { fields, .. }) = &mut self.nodes[record] {
            fields[field].default = encoded;
        }
    }
}

#[derive(Default)]
struct Planning {
    nodes: Vec<Node>,
    named: HashMap<String, Id>,
    /// Encoded when all nodes are there.
    defaults: Vec<(Id, usize, serde_json::Value)>,
}

impl Planning {
    fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn node(&mut self, schema: &Schema) -> Result<Id, Unplannable> {
        let node = match schema {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int | Schema::Date | Schema::TimeMillis => Node::Int,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Node::Long,
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes | Schema::BigDecimal => Node::Bytes,
            Schema::String | Schema::Uuid => Node::Text,
            Schema::Duration => Node::Fixed(12),
            Schema::Array(array) => Node::Array(self.node(&array.items)?),
            Schema::Map(map) => Node::Map(self.node(&map.types)?),
            Schema::Union(union) => return self.union(union.variants()),
            Schema::Record(record) => return self.record(record),
            Schema::Enum(named) => {
                let id = self.add(Node::Enum(named.symbols.clone()));
                return Ok(self.name(&named.name, id));
            }
            Schema::Fixed(fixed) => {
                let id = self.add(Node::Fixed(fixed.size));
                return Ok(self.name(&fixed.name, id));
            }
            Schema::Decimal(decimal) => {
                if decimal.precision > DECIMAL_DIGITS_MAX {
                    let digits = decimal.precision;
                    let why = format!("a decimal of {digits} digits has no form in JSON here");
                    return Err(Unplannable(why));
                }
                let (fixed, name) = match &*decimal.inner {
                    Schema::Fixed(fixed) => (Some(fixed.size), Some(&fixed.name)),
                    _ => (None, None),
                };
                // Both are below 39: checked above, and a scale is at most the precision.
                let small = |digits: usize| u32::try_from(digits).unwrap_or(u32::MAX);
                let id = self.add(Node::Decimal {
                    scale: small(decimal.scale),
                    precision: small(decimal.precision),
                    fixed,
                });
                return Ok(match name {
                    Some(name) => self.name(name, id),
                    None => id,
                });
            }
            Schema::Ref { name } => {
                let known = self.named.get(&name.fullname(None)).copied();
                return known.ok_or_else(|| Unplannable(format!("there is no type {name}")));
            }
        };
        Ok(self.add(node))
    }

    fn name(&mut self, name: &Name, id: Id) -> Id {
        self.named.insert(name.fullname(None), id);
        id
    }

    fn record(&mut self, record: &RecordSchema) -> Result<Id, Unplannable> {
        // Known before its fields are, which may refer to it.
        let id = self.add(Node::Null);
        self.name(&record.name, id);
        let mut fields = Vec::with_capacity(record.fields.len());
        for (index, field) in record.fields.iter().enumerate() {
            let node = self.node(&field.schema)?;
            if let Some(default) = &field.default {
                self.defaults.push((id, index, default.clone()));
            }
            fields.push(Field {
                name: field.name.clone(),
                node,
                default: None,
            });
        }
        let names = fields.iter().enumerate();
        let by_name = names.map(|(i, it)| (it.name.clone(), i)).collect();
        self.nodes[id] = Node::Record(Record { fields, by_name });
        Ok(id)
    }

    fn union(&mut self, branches: &[Schema]) -> Result<Id, Unplannable> {
        let mut nodes = Vec::with_capacity(branches.len());
        for branch in branches {
            nodes.push((branch_name(branch), self.node(branch)?));
        }
        let null = branches.iter().position(|it| matches!(it, Schema::Null));
        let node = match (null, &nodes[..]) {
            (Some(0), [_, (_, other)]) => Node::Nullable {
                null: 0,
                other: *other,
            },
            (Some(1), [(_, other), _]) => Node::Nullable {
                null: 1,
                other: *other,
            },
            _ => Node::Union(nodes),
        };
        Ok(self.add(node))
    }
}

/// The name of a branch in Avro's own JSON.
fn branch_name(schema: &Schema) -> String {
    if let Some(name) = schema.name() {
        return name.fullname(None);
    }
    let name = match schema {
        Schema::Null => "null",
        Schema::Boolean => "boolean",
        Schema::Int | Schema::Date | Schema::TimeMillis => "int",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes | Schema::BigDecimal => "bytes",
        Schema::String | Schema::Uuid => "string",
        Schema::Array(_) => "array",
        Schema::Map(_) => "map",
        Schema::Decimal(decimal) => return branch_name(&decimal.inner),
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => "long",
        // These have names, or hold none that a union can.
        Schema::Union(_)
        | Schema::Record(_)
        | Schema::Enum(_)
        | Schema::Fixed(_)
        | Schema::Duration
        | Schema::Ref { .. } => "fixed",
    };
    name.to_owned()
}
