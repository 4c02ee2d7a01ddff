//! The order of rows within a data file: `sort-by`, and what an existing table asks for.

use arrow_array::RecordBatch;
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::{ArrowError, SortOptions};
use arrow_select::take::take_record_batch;
use iceberg::spec::{
    NullOrder, Schema, SortDirection, SortField, SortOrder, TableMetadata, Transform,
};

/// Of a table that this sink creates: 0 stands for no order.
const NEW_ORDER_ID: i64 = 1;

/// One entry of `sort-by`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    column: String,
    descending: bool,
}

/// All of `sort-by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SortBy(Vec<Part>);

impl SortBy {
    /// The error names the entry's index.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, (usize, String)> {
        let parse = |text: &String| {
            let mut words = text.split_whitespace();
            let (column, direction) = (words.next(), words.next());
            let descending = match (direction, words.next()) {
                (None | Some("asc"), None) => false,
                (Some("desc"), None) => true,
                _ => return Err(format!("`{text}` is not a column, with `asc` or `desc`")),
            };
            let column = column.ok_or_else(|| "a column's name is empty".to_owned())?;
            Ok(Part {
                column: column.to_owned(),
                descending,
            })
        };
        let parts = entries.iter().enumerate();
        parts
            .map(|(at, text)| parse(text).map_err(|why| (at, why)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The order of a new table of that schema. Nulls come first going up, as in every library.
    pub(crate) fn bind(&self, schema: &Schema) -> Result<SortOrder, String> {
        let mut order = SortOrder::builder();
        order.with_order_id(NEW_ORDER_ID);
        for part in &self.0 {
            let field = schema
                .as_struct()
                .field_by_name(&part.column)
                .filter(|it| it.field_type.is_primitive())
                .ok_or_else(|| format!("sort-by: no plain column `{}`", part.column))?;
            let (direction, null_order) = match part.descending {
                false => (SortDirection::Ascending, NullOrder::First),
                true => (SortDirection::Descending, NullOrder::Last),
            };
            order.with_sort_field(SortField {
                source_id: field.id,
                transform: Transform::Identity,
                direction,
                null_order,
            });
        }
        order.build(schema).map_err(|e| format!("sort-by: {e}"))
    }
}

/// How the rows of a table's files are to be sorted.
#[derive(Debug, Clone)]
pub(crate) struct Sorting {
    /// Of the order that sorted files are marked with.
    pub(crate) order_id: i64,
    columns: Vec<(usize, SortOptions)>,
}

impl Sorting {
    /// None: the table has no order, or one by more than plain columns, which need not be kept:
    /// its files say nothing then.
    pub(crate) fn of(metadata: &TableMetadata) -> Option<Self> {
        let order = metadata.default_sort_order();
        if order.is_unsorted() {
            return None;
        }
        let fields = metadata.current_schema().as_struct().fields();
        let columns = order.fields.iter().map(|it| {
            let at = fields.iter().position(|field| field.id == it.source_id)?;
            let options = SortOptions {
                descending: it.direction == SortDirection::Descending,
                nulls_first: it.null_order == NullOrder::First,
            };
            (it.transform == Transform::Identity).then_some((at, options))
        });
        Some(Self {
            order_id: order.order_id,
            columns: columns.collect::<Option<_>>()?,
        })
    }

    pub(crate) fn sort(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|(at, options)| SortColumn {
                values: rows.column(*at).clone(),
                options: Some(*options),
            })
            .collect();
        take_record_batch(rows, &lexsort_to_indices(&columns, None)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_columns_with_a_direction() {
        let parse = |entries: &[&str]| {
            let entries: Vec<_> = entries.iter().map(|it| (*it).to_owned()).collect();
            SortBy::parse(&entries)
        };
        let parts = parse(&["a", "b  desc", "c asc"]).unwrap().0;
        let down: Vec<_> = parts.iter().map(|it| it.descending).collect();
        assert_eq!(down, [false, true, false]);
        for wrong in ["", "a down", "a desc desc"] {
            assert_eq!(parse(&["x", wrong]).unwrap_err().0, 1, "{wrong}");
        }
    }
}
