//! Folders that outlive a power cut.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes a folder and its parents, and syncs each folder that got a new entry: what is written
/// below it later is durable only if the way there is.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    let Some(existing) = folder.ancestors().find(|it| it.is_dir()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    std::fs::create_dir_all(folder)?;
    if existing == folder {
        return Ok(());
    }
    for changed in folder.ancestors() {
        File::open(changed)?.sync_all()?;
        if changed == existing {
            break;
        }
    }
    Ok(())
}
