//! Where data files go: under the table's data folder, a folder for each partition.

use iceberg::spec::{PartitionKey, TableMetadata};
use iceberg::writer::file_writer::location_generator::{
    DefaultLocationGenerator, FileNameGenerator, LocationGenerator,
};
use uuid::Uuid;

/// Bytes of one folder's name: file systems allow 255, some stores count the whole path.
const FOLDER_BYTES_MAX: usize = 120;

/// As the library's own, but only plain characters of a value get into a path: one with a slash
/// in it must not choose the folder, and readers differ on whether `%2F` is one.
#[derive(Debug, Clone)]
pub(crate) struct DataLocation {
    data: DefaultLocationGenerator,
}

impl DataLocation {
    pub(crate) fn new(metadata: &TableMetadata) -> Self {
        Self {
            data: DefaultLocationGenerator::with_data_location(data_folder(metadata)),
        }
    }
}

/// Where a table wants its data files, without a slash at its end: the first of these that it says,
/// or else its own folder for them.
pub(crate) fn data_folder(metadata: &TableMetadata) -> String {
    let said = ["write.data.path", "write.folder-storage.path"];
    let said = said.iter().find_map(|key| metadata.properties().get(*key));
    match said {
        Some(folder) => folder.trim_end_matches('/').to_owned(),
        None => format!("{}/data", metadata.location().trim_end_matches('/')),
    }
}

impl LocationGenerator for DataLocation {
    fn generate_location(&self, key: Option<&PartitionKey>, file_name: &str) -> String {
        let name = match key {
            Some(key) if !key.spec().is_unpartitioned() => {
                format!("{}/{file_name}", folders(key))
            }
            _ => file_name.to_owned(),
        };
        self.data.generate_location(None, &name)
    }
}

fn folders(key: &PartitionKey) -> String {
    let Ok(types) = key.spec().partition_type(key.schema()) else {
        return "unknown".to_owned();
    };
    let mut path = String::new();
    for (at, (field, ty)) in key.spec().fields().iter().zip(types.fields()).enumerate() {
        if at > 0 {
            path.push('/');
        }
        let value = field
            .transform
            .to_human_string(&ty.field_type, key.data()[at].as_ref());
        path.push_str(&folder(&field.name, &value));
    }
    path
}

/// The folder is for people; the value is in the metadata. Two values may share a folder.
fn folder(name: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let text = format!("{name}={value}");
    text.chars()
        .map(|c| if plain(c) || c == '=' { c } else { '_' })
        .take(FOLDER_BYTES_MAX)
        .collect()
}

/// Names that are never used twice.
#[derive(Debug, Clone)]
pub(crate) struct UniqueName;

impl FileNameGenerator for UniqueName {
    fn generate_file_name(&self) -> String {
        format!("{}.parquet", Uuid::now_v7())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_can_not_leave_its_folder() {
        assert_eq!(folder("symbol", "BTCUSDT"), "symbol=BTCUSDT");
        assert_eq!(folder("day", "2024-08-08"), "day=2024-08-08");
        assert_eq!(folder("symbol", "../../x"), "symbol=.._.._x");
        assert_eq!(folder("symbol", "a b%2F?#é\\"), "symbol=a_b_2F____");
        assert_eq!(folder("symbol", &"x".repeat(500)).len(), FOLDER_BYTES_MAX);
    }

    #[test]
    fn names_differ() {
        assert_ne!(
            UniqueName.generate_file_name(),
            UniqueName.generate_file_name()
        );
    }
}
