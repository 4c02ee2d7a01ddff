//! A table's schema, moved on to what a topic's schema needs: `evolve`.
//!
//! A task writes its files with the schema that the table is going to have, and its pieces carry
//! that; the committer puts the schema into the same commit as the first rows that need it.

mod matching;
mod properties;

use std::collections::HashSet;
use std::sync::Arc;

use iceberg::spec::{
    ListType, MapType, NestedFieldRef, PrimitiveType, Schema, StructType, TableMetadata, Type,
};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::matching::{PastNames, column_named, field_named, matched};
use crate::avro::{AvroField, AvroType};
use crate::schema::{Ids, type_of};
use crate::tables::Tables;

/// What may become of a table's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Evolve {
    /// Nothing: a topic that does not fit stops.
    #[default]
    Off,
    /// New fields become optional columns, in nested records too.
    Add,
    /// Also wider types, columns that can be null from now on, and new names by alias.
    Full,
}

/// The schema that the table needs for records of `avro`; none: it has it. What can't be done is
/// left as it is, for the plan to name.
pub(crate) fn evolved(
    avro: &[AvroField],
    metadata: &TableMetadata,
    evolve: Evolve,
) -> Result<Option<Schema>, String> {
    let current = metadata.current_schema();
    let full = match evolve {
        Evolve::Off => return Ok(None),
        Evolve::Add => false,
        Evolve::Full => true,
    };
    let mut step = Step {
        ids: Ids::after(metadata.last_column_id()),
        full,
        identifiers: current.identifier_field_ids().collect(),
        past: PastNames::of(metadata),
    };
    let fields = step.structure(avro, current.as_struct());
    if fields == current.as_struct().fields() {
        return Ok(None);
    }
    Schema::builder()
        .with_fields(fields)
        .with_identifier_field_ids(current.identifier_field_ids())
        .build()
        .map(Some)
        .map_err(|e| e.to_string())
}

struct Step {
    ids: Ids,
    full: bool,
    /// These can't be null, whatever happens.
    identifiers: HashSet<i32>,
    past: PastNames,
}

impl Step {
    fn structure(&mut self, avro: &[AvroField], table: &StructType) -> Vec<NestedFieldRef> {
        let matched = matched(avro, table, &self.past);
        let mut fields = Vec::with_capacity(table.fields().len());
        for (at, column) in table.fields().iter().enumerate() {
            let field = matched
                .iter()
                .position(|it| *it == Some(at))
                .map(|at| &avro[at]);
            fields.push(match field {
                Some(field) => {
                    // Not where a name that the column had led here: an older schema's records
                    // rename nothing back.
                    let rename = self.full && field.aliases.contains(&column.name);
                    self.field(field, column, rename)
                }
                None => self.optional(column),
            });
        }
        let new: Vec<_> = avro.iter().zip(&matched).collect();
        for (field, _) in new.into_iter().filter(|(_, it)| it.is_none()) {
            let id = self.ids.next();
            let mut made = self.ids.field(id, field);
            // The rows that are there lack it.
            made.required = false;
            fields.push(made.into());
        }
        fields
    }

    fn optional(&self, column: &NestedFieldRef) -> NestedFieldRef {
        let may = self.full && column.required && !self.identifiers.contains(&column.id);
        if !may {
            return Arc::clone(column);
        }
        let mut column = column.as_ref().clone();
        column.required = false;
        column.into()
    }

    fn field(
        &mut self,
        field: &AvroField,
        column: &NestedFieldRef,
        rename: bool,
    ) -> NestedFieldRef {
        let mut made = match field.null_branch {
            Some(_) => self.optional(column).as_ref().clone(),
            None => column.as_ref().clone(),
        };
        made.field_type = Box::new(self.ty(&field.ty, &column.field_type));
        if rename {
            made.name.clone_from(&field.name);
        }
        if made.doc.is_none() {
            made.doc.clone_from(&field.doc);
        }
        made.into()
    }

    fn ty(&mut self, avro: &AvroType, table: &Type) -> Type {
        use PrimitiveType as P;
        match (avro, table) {
            (AvroType::Record(fields), Type::Struct(columns)) => {
                Type::Struct(StructType::new(self.structure(fields, columns)))
            }
            // The element of a list, and the value of a map, have names of Iceberg's own.
            (AvroType::Array(item), Type::List(list)) => Type::List(ListType {
                element_field: self.field(item, &list.element_field, false),
            }),
            (AvroType::Map(value), Type::Map(map)) => Type::Map(MapType {
                key_field: Arc::clone(&map.key_field),
                value_field: self.field(value, &map.value_field, false),
            }),
            (avro, Type::Primitive(there)) if self.full => match (type_of(avro), there) {
                (Some(P::Long), P::Int) => Type::Primitive(P::Long),
                (Some(P::Double), P::Float) => Type::Primitive(P::Double),
                (
                    Some(P::Decimal { precision, scale }),
                    P::Decimal {
                        precision: held,
                        scale: same,
                    },
                ) if scale == *same && precision > *held => {
                    Type::Primitive(P::Decimal { precision, scale })
                }
                _ => table.clone(),
            },
            _ => table.clone(),
        }
    }
}

/// What a commit has to add to a table.
#[derive(Debug)]
pub(crate) struct Change {
    /// The table as it is going to be.
    pub(crate) table: Table,
    pub(crate) requirements: Vec<TableRequirement>,
    pub(crate) updates: Vec<TableUpdate>,
}

/// The table with another schema, and with the properties of the columns that it renames.
pub(crate) fn change(tables: &Tables, table: &Table, schema: Schema) -> iceberg::Result<Change> {
    let before = table.metadata();
    let at = table.metadata_location().map(str::to_owned);
    let moved = properties::moved(before.properties(), before.current_schema(), &schema);
    let built = before.clone().into_builder(at).add_current_schema(schema)?;
    let built = built.set_properties(moved.set)?;
    let built = built.remove_properties(&moved.removed)?.build()?;
    let requirements = vec![
        TableRequirement::CurrentSchemaIdMatch {
            current_schema_id: before.current_schema_id(),
        },
        TableRequirement::LastAssignedFieldIdMatch {
            last_assigned_field_id: before.last_column_id(),
        },
    ];
    Ok(Change {
        table: tables.with_metadata(table, built.metadata)?,
        requirements,
        updates: built.changes,
    })
}

/// What the schemas of pieces mean for a table.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It has all of them.
    Fits,
    /// It needs this one, which has all the others.
    Needs(Box<Schema>),
    /// They do not go together: this one alone, if any, and then all is written again.
    Clash(Option<Box<Schema>>),
}

/// `wanted`: schemas that files were written with, each made from the schema of that id.
pub(crate) fn settle(metadata: &TableMetadata, wanted: Vec<(i32, Schema)>) -> Settled {
    let current = metadata.current_schema();
    let mut needed: Option<Schema> = None;
    for (base, schema) in wanted {
        if covers(needed.as_ref().unwrap_or(current), &schema) {
            continue;
        }
        // Made from what the table was, it may lack what the table has now.
        let fits = base == metadata.current_schema_id();
        let follows = needed.as_ref().is_none_or(|it| covers(&schema, it));
        if !fits || !follows {
            return Settled::Clash(needed.map(Box::new));
        }
        needed = Some(schema);
    }
    match needed {
        None => Settled::Fits,
        Some(schema) => Settled::Needs(Box::new(schema)),
    }
}

/// Whether what was written as `other` can be read as `schema`, and both mean the same by each id.
fn covers(schema: &Schema, other: &Schema) -> bool {
    // Of the whole path: columns of several records may end in one name.
    let mut ids = other.field_id_to_fields().keys();
    let named = ids.all(|id| schema.name_by_field_id(*id) == other.name_by_field_id(*id));
    named && reads(schema, other)
}

/// Whether what was written as `other`, which the table has or had, can be read as `schema`. A
/// column is the same whatever its name is now; one that is gone is no other's that has its name.
pub(crate) fn reads(schema: &Schema, other: &Schema) -> bool {
    let fields = other.field_id_to_fields();
    fields.iter().all(|(id, theirs)| {
        let Some(ours) = schema.field_by_id(*id) else {
            return false;
        };
        let same = match (ours.field_type.as_ref(), theirs.field_type.as_ref()) {
            (Type::Primitive(ours), Type::Primitive(theirs)) => widens(theirs, ours),
            (Type::Struct(_), Type::Struct(_))
            | (Type::List(_), Type::List(_))
            | (Type::Map(_), Type::Map(_)) => true,
            _ => false,
        };
        same && (theirs.required || !ours.required)
    })
}

fn widens(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    use PrimitiveType as P;
    match (from, to) {
        (P::Int, P::Long) | (P::Float, P::Double) => true,
        (
            P::Decimal { precision, scale },
            P::Decimal {
                precision: wider,
                scale: same,
            },
        ) => scale == same && precision <= wider,
        (from, to) => from == to,
    }
}
